"""Other ways to the numbers of a page, faster for some shape and platform; `select` says which is used where.

A kernel has the signature of the page's function that it replaces. Its docstring states the equation it computes, and
where it is faster and by how much. `tests/kernels` compares each with the page and with the oracles.
"""
