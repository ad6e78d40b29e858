"""Everything at once on a simulated rig."""
