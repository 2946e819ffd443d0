"""Rejected messages, and their quota."""
