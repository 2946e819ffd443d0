"""The catalogue: event types, and the fields of their events."""
