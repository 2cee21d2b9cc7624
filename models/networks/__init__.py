"""The networks themselves, a file a design; these need torch."""
