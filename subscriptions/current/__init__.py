"""What is kept up to date for subscribers: counts, aggregates and the latest events."""
