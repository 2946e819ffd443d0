"""Which types of event there are, and which fields they have."""
