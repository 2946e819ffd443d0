"""A small business that happens."""
