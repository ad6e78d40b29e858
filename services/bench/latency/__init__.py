"""Latency from an LSL push to the reception on ZeroMQ, of this decoder and of others, in one run."""
