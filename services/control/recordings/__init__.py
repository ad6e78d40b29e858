"""Stored recordings, and the recorders of sessions."""
