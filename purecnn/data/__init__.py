"""Data: one file for each reader, which returns a `Dataset`; `batches` gives the order of the samples."""
