"""Measures: images restored and scored, costs counted, networks and scans timed."""
