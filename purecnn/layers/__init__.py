"""One rule a file: equation, primal, `_fwd`, `_bwd`, side by side."""
