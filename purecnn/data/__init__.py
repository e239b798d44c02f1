"""Data: one reader a file, each returning a `Dataset`; `batches` says in which order its samples come."""
