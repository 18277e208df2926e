"""Live sports: a match whose events no spectator misses."""
