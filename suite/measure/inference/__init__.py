"""Restores pictures: networks with anyone's weights, whole or in tiles."""
