"""One file for each rule: equation, primal, `_fwd` and `_bwd`, side by side."""
