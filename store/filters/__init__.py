"""Filters: which events match, as data, in memory and in MongoDB's form."""
