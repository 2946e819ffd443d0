"""`eventscope export`: events to files."""
