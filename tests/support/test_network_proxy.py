"""The proxy that chaos runs use for network faults does what its methods say, so that these runs prove something."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventscope.processes.ports import HOST
from tests.support.network_proxy import End, Proxy, running_proxy
from tests.support.until import until


@pytest.fixture
async def heard() -> list[bytes]:
    """What has arrived at the server, which echoes everything."""
    return []


@pytest.fixture
async def proxy(heard: list[bytes]) -> AsyncIterator[Proxy]:
    """A line to that server."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(line)
            writer.write(line)
        heard.append(b"")
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    async with running_proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


async def test_it_passes_bytes_on_and_reports_when_a_connection_ends(proxy: Proxy, heard: list[bytes]) -> None:
    reader, writer = await _called(proxy)
    assert await _said(reader, writer, b"one\n") == b"one\n"
    writer.close()
    await until(lambda: heard == [b"one\n", b""])
    await until(lambda: proxy.connections == 0)


async def test_a_silent_line_accepts_everything_and_delivers_nothing_until_it_recovers(
    proxy: Proxy, heard: list[bytes]
) -> None:
    before_reader, before = await _called(proxy)
    assert await _said(before_reader, before, b"one\n") == b"one\n"
    proxy.silence()
    during_reader, during = await _called(proxy)
    before.write(b"two\n")
    before.write_eof()
    during.write(b"three\n")
    await until(lambda: proxy.connections == 2)
    await _turns()
    assert heard == [b"one\n"]
    await proxy.heal()
    assert await during_reader.readline() == b"three\n"
    await until(lambda: sorted(heard) == [b"", b"one\n", b"three\n", b"two\n"])
    for writer in (before, during):
        writer.close()


async def test_a_forgotten_connection_is_silent_for_ever_while_new_ones_work(proxy: Proxy, heard: list[bytes]) -> None:
    before_reader, before = await _called(proxy)
    assert await _said(before_reader, before, b"one\n") == b"one\n"
    proxy.forget()
    await proxy.heal()
    before.write(b"two\n")
    after_reader, after = await _called(proxy)
    assert await _said(after_reader, after, b"three\n") == b"three\n"
    await _turns()
    assert heard == [b"one\n", b"three\n"]
    for writer in (before, after):
        writer.close()


async def test_a_slow_line_is_slow_in_both_directions(proxy: Proxy) -> None:
    reader, writer = await _called(proxy)
    clock = asyncio.get_running_loop().time
    proxy.slow(0.1)
    begin = clock()
    assert await _said(reader, writer, b"one\n") == b"one\n"
    assert clock() - begin >= 0.2  # never less, however fast the machine is
    writer.close()


async def test_a_cut_line_breaks_and_refuses_connections(proxy: Proxy) -> None:
    reader, writer = await _called(proxy)
    assert await _said(reader, writer, b"one\n") == b"one\n"
    await proxy.cut()
    with pytest.raises(ConnectionError):
        await _called(proxy)
    assert await reader.read() == b""
    writer.close()
    await proxy.heal()
    reader, writer = await _called(proxy)
    assert await _said(reader, writer, b"two\n") == b"two\n"
    writer.close()


async def _called(proxy: Proxy) -> End:
    return await asyncio.open_connection(HOST, proxy.port)


async def _said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    writer.write(line)
    async with asyncio.timeout(10):
        return await reader.readline()


async def _turns() -> None:
    """Let all pending work finish: this waits for a round trip over another connection."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), HOST, 0)
    for _ in range(20):
        reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
        assert await reader.read() == b""
        writer.close()
    server.close()
