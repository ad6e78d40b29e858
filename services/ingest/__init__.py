"""From LSL streams to bins on a session's time grid."""
