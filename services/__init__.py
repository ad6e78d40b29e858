"""Everything with a socket, a thread or a process in it."""
