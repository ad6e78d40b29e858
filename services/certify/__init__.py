"""``bmi-decoder certify``: whether this machine and this rig are fit for a session."""
