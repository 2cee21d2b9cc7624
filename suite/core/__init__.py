"""Knows nothing of restoration: files, processes, errors, text, statistics. Import its modules."""
