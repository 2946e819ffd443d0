"""Counting events, and knowing what has expired."""
