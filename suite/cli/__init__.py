"""The verbs, one a file, in rooms where several belong together: parse, call, print."""
