"""Charts of the page as SVG, with their numbers as tables."""
