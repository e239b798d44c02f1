"""What a trained net is good for: evaluation, prediction, export, import, pictures and the report of a run."""
