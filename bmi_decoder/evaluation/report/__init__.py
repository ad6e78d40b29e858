"""Self-contained HTML pages about decoders: no scripts, no fonts, nothing loaded from anywhere."""
