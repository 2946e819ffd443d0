"""What a client has not read is counted where it waits, also in the buffers of this system."""

import asyncio
import sys

import pytest

from eventscope.http.uvicorn.unread import unread
from tests.support.until import until


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
async def test_bytes_that_the_system_holds_for_a_client_are_counted_until_it_reads_them() -> None:
    sides: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda reader, writer: sides.append(writer), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1024)
        await until(lambda: sides)
        transport = sides[0].transport
        assert isinstance(transport, asyncio.Transport)
        assert unread(transport) == 0
        transport.write(b"x" * 16 * 1024**2)
        assert unread(transport) > transport.get_write_buffer_size()
        await reader.readexactly(16 * 1024**2)
        await until(lambda: unread(transport) == 0)
        writer.close()
        transport.close()
