"""Inspects data sets: counts, pairs, rules, traps and leaks."""
