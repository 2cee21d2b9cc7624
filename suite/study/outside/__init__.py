"""What users bring along: designs (plug-ins) and grids from files."""
