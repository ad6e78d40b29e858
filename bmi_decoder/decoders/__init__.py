"""Decoders, one per file, each built from layers."""
