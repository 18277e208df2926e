"""The operator: decides what a domain and a plan need, and applies it to the API server."""
