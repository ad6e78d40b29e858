"""``bmi-decoder bench sessions``: many workers at once, and one for long."""
