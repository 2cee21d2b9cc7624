"""Verbs that read a ledger: what it holds, its report, and comparisons of its records."""
