"""Publishing as NATS allows it, and no client library would: any bytes as subject and headers."""

import asyncio
from urllib.parse import urlsplit


def message(subject: bytes, body: bytes = b"{}", headers: bytes | None = None) -> bytes:
    """The command that publishes it; `headers` is the whole block, its first line and end included."""
    if headers is None:
        return b"PUB %s %d\r\n%s\r\n" % (subject, len(body), body)
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (subject, len(headers), len(headers) + len(body), headers, body)


async def send(url: str, *commands: bytes) -> None:
    """Send the commands on a connection of their own, and return when the server has taken them."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        await reader.readline()
        writer.write(b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n' + b"".join(commands))
        writer.write(b"PING\r\n")
        async with asyncio.timeout(10):
            answer = await reader.readline()
        assert answer == b"PONG\r\n", answer
    finally:
        writer.close()
        await writer.wait_closed()
