"""Would a faulty rule have been noticed? Breaks one equation at a time and asks."""
