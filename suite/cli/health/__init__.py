"""Verbs that look at the code and the installation: what has moved, what does not work here."""
