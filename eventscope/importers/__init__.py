"""Events out of files and git repositories."""
