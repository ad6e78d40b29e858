"""How decoders learn."""
