"""Builders, a naive model, tokens and real processes for the tests of the statistics."""
