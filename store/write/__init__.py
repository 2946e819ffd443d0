"""Writing: the only way into the log."""
