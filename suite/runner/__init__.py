"""Which cells, where, in which order, and what the screen shows."""
