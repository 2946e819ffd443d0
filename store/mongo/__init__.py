"""MongoDB and its driver: commands, indexes, what it says when it fails, and its clock."""
