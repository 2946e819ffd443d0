"""From the bytes of a message to the event that it means. No I/O."""
