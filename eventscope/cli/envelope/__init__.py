"""Trying a mapping on sample messages before anything is switched on."""
