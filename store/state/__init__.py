"""The state of the log itself: its checkpoint, key and incidents, and whether its collections agree."""
