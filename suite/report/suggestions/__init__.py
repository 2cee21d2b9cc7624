"""Which network to take: candidates with what is known of them, and the choice among them."""
