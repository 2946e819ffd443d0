"""Messages that could not be taken."""
