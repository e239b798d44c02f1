"""What a derivative is held against, and how far rounding lets it be from that."""
