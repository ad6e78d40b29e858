"""Collects spike counts and movement from live streams, for training."""
