"""Scores restored pictures under named protocols."""
