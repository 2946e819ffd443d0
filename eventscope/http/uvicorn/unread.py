"""How many bytes a client has not read yet, including those in the buffers of this system."""

import fcntl
import struct
import termios
from asyncio import Transport


def unread(transport: Transport) -> int:
    """The bytes that wait in the transport and, on Linux, in the system: it may hold megabytes for a slow client."""
    waiting = 0
    try:
        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        (waiting,) = struct.unpack("i", answer)
    except (AttributeError, OSError):  # it is closed, or this is another system
        pass
    return waiting + transport.get_write_buffer_size()
