"""The tests mirror purecnn path by path; `oracles` is what they are measured against."""
