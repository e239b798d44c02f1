"""One loss a file, written as the layers are."""
