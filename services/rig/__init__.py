"""A simulated or replayed rig: LSL outlets driven from a recording or a simulated subject."""
