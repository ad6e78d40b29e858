"""What a `Builder` can be told, a family of instructions at a time."""
