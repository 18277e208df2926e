"""Helpers for tests of the relay's data path."""
