"""The connection to NATS, the stream, and what their subjects and headers are."""
