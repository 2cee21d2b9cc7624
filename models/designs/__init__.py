"""The designs, one a file."""
