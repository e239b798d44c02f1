"""One file for each loss, in the form of the layers."""
