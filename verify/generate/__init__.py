"""Other calls of the same rule, made from the example."""
