"""What is kept up to date for subscribers: aggregates and shared queries such as counts."""
