"""The state of the log itself: its checkpoint and key, and whether its collections agree."""
