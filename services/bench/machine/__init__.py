"""Each instruction of the streaming machine by itself: time, bytes, and share of the bandwidth."""
