"""What to do: pure functions from a snapshot and an instant to an Outcome, one module per kind."""
