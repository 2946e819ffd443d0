"""From the log to its subscribers."""
