"""What keeps the operator going: cache, work queue, wake-ups, Lease, health, metrics."""
