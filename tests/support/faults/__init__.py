"""Accounts, sites and clients for tests that break one part of a running system under traffic."""
