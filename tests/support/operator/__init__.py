"""Manifests, keys, snapshots, webhooks and clusters for the operator's tests."""
