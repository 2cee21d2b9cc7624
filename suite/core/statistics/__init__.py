"""Means, intervals, tests and places: what numbers can carry."""
