"""Child processes that die with their parent, and how processes end."""
