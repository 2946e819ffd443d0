"""What a service imports to publish, follow and read events."""
