"""Counts parameters and operations, and times networks."""
