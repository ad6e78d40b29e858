"""Training and calibration, as processes of their own."""
