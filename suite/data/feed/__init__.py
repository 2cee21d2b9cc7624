"""Serves training with images: samples, batches, and what is decoded once."""
