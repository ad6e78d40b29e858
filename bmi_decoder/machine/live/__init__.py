"""The compiled loop of a live session: it waits, decodes and publishes without the interpreter."""
