"""Would a wrong rule have been noticed? Breaks one equation at a time and asks."""
