"""The verbs, one a file: parse, call, print."""
