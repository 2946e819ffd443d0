"""Child processes that die with their parent, and the ends of processes."""
