"""Helpers for the operator's tests."""
