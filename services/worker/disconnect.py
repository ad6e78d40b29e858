"""Ends connections that libzmq would keep."""

from __future__ import annotations

import contextlib
import os
import socket
import stat


def disconnect(port: int) -> int:
    """End this process's TCP connections on a port of its own; gives how many there were.

    ZeroMQ has no call for that: it asks who may connect at the handshake, and can only close a socket as a whole, in
    the thread that sends on it. A connection that the kernel ends, ZeroMQ takes as one whose other side is gone; its
    listening socket is left alone, so that who is allowed is back at once. May be called from any thread.

    Parameters
    ----------
    port : int
        On which they were accepted.
    """
    ended = 0
    for number in os.listdir("/proc/self/fd"):
        # Another thread may have closed it since. A duplicate stays what it is.
        with contextlib.suppress(OSError):
            duplicate = os.dup(int(number))
            try:
                if stat.S_ISSOCK(os.fstat(duplicate).st_mode):
                    ended += _ended(duplicate, port)
            finally:
                os.close(duplicate)
    return ended


def _ended(number: int, port: int) -> bool:
    connection = socket.socket(fileno=number)
    try:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
            return False
        connection.getpeername()  # which one that listens has not
        connection.shutdown(socket.SHUT_RDWR)
        return True
    finally:
        connection.detach()
