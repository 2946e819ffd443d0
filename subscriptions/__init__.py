"""What arrives over NATS: ingest, the live feed, catch-up then live."""
