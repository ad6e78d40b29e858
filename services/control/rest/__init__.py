"""What all routes share, and those of the service itself."""
