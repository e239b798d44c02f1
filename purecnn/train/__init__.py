"""Training: the lecture's descent, one jitted step for any optimiser, the loop around it and the folder it fills."""
