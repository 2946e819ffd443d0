"""Trying a mapping on sample messages before it is put into the settings."""
