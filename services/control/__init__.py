"""The control plane: REST, the store of decoders and sessions, and the supervisor of worker processes."""
