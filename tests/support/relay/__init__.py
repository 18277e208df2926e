"""Configurations, frames, heads, certificates, and a relay in this process."""
