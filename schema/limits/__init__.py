"""What one operation may cost."""
