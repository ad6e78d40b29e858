"""``bmi-decoder bench``: repeatable measurements on the machine at hand."""
