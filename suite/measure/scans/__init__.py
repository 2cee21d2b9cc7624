"""Verifies the scan backends against float64, and times those that are right."""
