"""Recounting what is derived from the events, and correcting what differs."""
