"""Counts of events, and how far events have expired."""
