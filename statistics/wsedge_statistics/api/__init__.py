"""The HTTP face of the statistics: ingest, the native REST API, health and metrics."""
