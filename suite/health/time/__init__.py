"""Times the code against that of an earlier commit."""
