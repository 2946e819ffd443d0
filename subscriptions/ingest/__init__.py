"""From NATS into the log."""
