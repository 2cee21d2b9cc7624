"""What is kept of a run, and the ledger that keeps it."""
