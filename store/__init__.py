"""The event log in MongoDB: documents, indexes, append, read, aggregates, rollups."""
