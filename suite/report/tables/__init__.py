"""The papers' tables with our numbers in them, and what stands in a cell, a row and a place of rank."""
