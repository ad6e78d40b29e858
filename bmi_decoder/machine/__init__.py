"""The streaming machine: decoders and filters lowered to flat programs that one compiled kernel runs."""
