"""Live quotes: prices that a slow reader gets new or not at all."""
