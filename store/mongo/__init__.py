"""MongoDB and its driver: commands, indexes, errors, and its clock."""
