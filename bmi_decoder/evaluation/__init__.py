"""How decoders are judged."""
