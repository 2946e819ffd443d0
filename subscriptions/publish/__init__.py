"""From services to NATS."""
