"""Records that are not of a training: evaluations, profiles, routing, scan backends."""
