"""What a derivative is compared with, and how far rounding lets it be from that."""
