"""Building blocks of decoders: each trains in torch and lowers itself to the streaming machine."""
