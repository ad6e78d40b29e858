"""Several decoders on one recording: trained once, ranked, and shown side by side."""
