"""Rejected messages, and the limit on them."""
