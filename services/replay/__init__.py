"""Drives a session again from a recording, and compares."""
