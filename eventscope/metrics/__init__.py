"""What a process reports to Prometheus."""
