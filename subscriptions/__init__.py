"""What arrives over NATS: ingest, the live feed, and delivery to subscribers."""
