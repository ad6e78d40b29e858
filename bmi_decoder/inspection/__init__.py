"""What is in a recording file, before anything is trained on it."""
