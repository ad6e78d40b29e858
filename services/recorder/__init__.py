"""Records a session beside it: input, estimates, events and settings, into one XDF file."""
