"""What a person types: the commands, and how they talk to a terminal."""
