"""Uses of a trained net: evaluation, prediction, export, import, pictures and the report of a run."""
