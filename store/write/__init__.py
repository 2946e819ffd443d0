"""The only way into the log."""
