"""Events into files."""
