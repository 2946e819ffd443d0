"""The event log in MongoDB."""
