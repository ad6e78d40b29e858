"""Stored decoders."""
