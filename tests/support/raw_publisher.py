"""Publishing as NATS allows it, and no client library would: any bytes as subject and headers."""

import asyncio
import json
import re
from urllib.parse import urlsplit

INBOX = b"_INBOX.raw"


def message(subject: bytes, body: bytes = b"{}", headers: bytes | None = None, reply: bytes = b"") -> bytes:
    """The command that publishes it; `headers` is the whole block, its first line and end included."""
    to = subject + b" " + reply if reply else subject
    if headers is None:
        return b"PUB %s %d\r\n%s\r\n" % (to, len(body), body)
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (to, len(headers), len(headers) + len(body), headers, body)


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


async def publish_acknowledged(url: str, subject: bytes, body: bytes, headers: bytes | None = None) -> tuple[str, int]:
    """Publish one message; which server acknowledged it (its id), and with which sequence of the stream."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(10):
            info = json.loads((await reader.readline()).removeprefix(b"INFO "))
            writer.write(b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n')
            writer.write(b"SUB %s 1\r\n" % INBOX + message(subject, body, headers, INBOX))
            while not re.match(rb"MSG .* (\d+)\r\n", await reader.readline()):
                pass
            return str(info["server_id"]), int(json.loads(await reader.readline())["seq"])
    finally:
        writer.close()
        await writer.wait_closed()
