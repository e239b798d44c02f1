"""Every hand-written rule of a program: which ones run in it, on which values, and whether each is right."""
