"""Real clients and origins, started from their packages, with and without a relay between them."""
