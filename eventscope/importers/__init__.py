"""Events from files and git repositories."""
