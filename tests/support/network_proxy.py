"""A line between a program and a server that can be slow, silent, forgetful or cut, as networks can.

A TCP proxy on this machine, so no rights are needed. While it is silent nothing is closed and nothing refused: bytes
vanish, and so do the ends of connections. What was on its way arrives when the line is restored, as TCP would send it
again; what was forgotten never arrives.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from eventscope.background import cancel
from eventscope.processes.ports import HOST, free

End: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PIECE: Final = 64 * 1024
CLOSE_SECONDS: Final = 1.0


@dataclass(eq=False, slots=True)
class _Connection:
    """One connection through the line: nothing passes while its gate is shut."""

    writers: list[asyncio.StreamWriter]
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    forgotten: bool = False
    task: asyncio.Task[None] | None = None


class Proxy:
    """Listens at a port of its own for a server at another one. Make it with `running_proxy`."""

    def __init__(self, port: int) -> None:
        self.port = free()
        self._upstream = port
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._silent = False
        self._delay = 0.0

    @property
    def host(self) -> str:
        """The address it listens on."""
        return f"{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections it has, including the forgotten ones."""
        return len(self._connections)

    async def heal(self) -> None:
        """Let everything through immediately; forgotten connections stay forgotten."""
        self._delay, self._silent = 0.0, False
        for connection in self._connections:
            if not connection.forgotten:
                connection.gate.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)

    def slow(self, seconds: float) -> None:
        """Delay each chunk of bytes by this long, in either direction."""
        self._delay = seconds

    def silence(self) -> None:
        """Accept connections and bytes, but let none arrive until the line is restored."""
        self._silent = True
        for connection in self._connections:
            connection.gate.clear()

    def forget(self) -> None:
        """Let no byte of the current connections ever arrive, as after a router's restart; new connections work."""
        for connection in self._connections:
            connection.forgotten = True
            connection.gate.clear()

    async def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        await cancel(*tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection([writer])
        self._connections.add(connection)
        if not self._silent:
            connection.gate.set()
        # a task of our own, since the one that asyncio would create logs an error when it is cancelled
        connection.task = asyncio.create_task(self._carry(connection, reader, writer))

    async def _carry(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                await connection.gate.wait()
                far_reader, far_writer = await asyncio.open_connection(HOST, self._upstream)
                connection.writers.append(far_writer)
                await self._join(connection, (reader, writer), (far_reader, far_writer))
        finally:
            self._connections.discard(connection)
            for one in connection.writers:
                one.transport.abort()

    async def _join(self, connection: _Connection, near: End, far: End) -> None:
        ways = (self._pump(connection, near[0], far[1]), self._pump(connection, far[0], near[1]))
        pumps = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(CLOSE_SECONDS):  # a TimeoutError is an OSError
                for one in connection.writers:
                    one.close()
                    await one.wait_closed()
        finally:
            for pump in pumps:
                pump.cancel()

    async def _pump(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                await asyncio.sleep(self._delay)
                await connection.gate.wait()
                writer.write(piece)
                await writer.drain()
        await connection.gate.wait()  # its end vanishes too


@asynccontextmanager
async def running_proxy(port: int) -> AsyncIterator[Proxy]:
    """A line to the server at that port, intact at first, for the length of the block."""
    proxy = Proxy(port)
    await proxy.heal()
    try:
        yield proxy
    finally:
        await proxy.cut()
