"""The values of the log: documents, messages, moments and JSON. No I/O."""
