"""Embedded servers, and the folder with their data."""
