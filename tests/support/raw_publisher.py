"""Publishing as NATS allows it but no client library does: any bytes as subject and headers."""

import asyncio
import json
import re
from urllib.parse import urlsplit

INBOX = b"_INBOX.raw"


def message(subject: bytes, body: bytes = b"{}", headers: bytes | None = None, reply: bytes = b"") -> bytes:
    """The command that publishes the message; `headers` is the whole block, including its first line and its end."""
    to = subject + b" " + reply if reply else subject
    if headers is None:
        return b"PUB %s %d\r\n%s\r\n" % (to, len(body), body)
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (to, len(headers), len(headers) + len(body), headers, body)


async def send(url: str, *commands: bytes) -> None:
    """Send the commands on a connection of their own, and return when the server has processed them."""
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
    """Publish one message; returns the id of the server that acknowledged it, and its sequence in the stream."""
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
