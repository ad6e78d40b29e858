"""The block-bidirectional filter per bin, beside filtering the whole block again for each."""
