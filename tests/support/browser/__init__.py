"""A real browser for tests: see `chromium`."""
