"""Helpers for tests that break one part of a running system while clients talk through it."""
