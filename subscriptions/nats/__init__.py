"""The connection to NATS, the stream, and the form of subjects and headers."""
