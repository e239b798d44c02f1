"""Other ways to the numbers of a page, faster on some shape and platform; `select` says which is taken where.

A kernel has the signature of the page's function that it replaces, states the equation it computes, and says where it
wins and by how much. `tests/kernels` holds each against the page and against the oracles.
"""
