"""Trains one cell, alone or with others, and resumes."""
