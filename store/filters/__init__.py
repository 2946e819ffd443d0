"""Which events are meant: as data, in memory and for MongoDB."""
