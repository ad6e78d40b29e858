"""The decode loop: one process per session."""
