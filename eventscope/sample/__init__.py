"""A small sample business, whose events are published."""
