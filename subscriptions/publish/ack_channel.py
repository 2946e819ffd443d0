"""A channel to JetStream: messages go out in order on one connection, and each comes back acknowledged or refused.

nats-py's own `publish_async` (2.16) does not report a refusal: it raises where it should fail the future.
"""

import asyncio
from typing import Final, Self

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError

from eventscope.subscriptions.publish.protocol import OutgoingMessage

NO_RESPONDERS: Final = "503"

Acknowledgement = asyncio.Future[bool]
"""Whether JetStream had the message already, by its id."""


class AckChannel:
    """Made by `open`; it lasts as long as its connection."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._inbox = client.new_inbox()
        self._pending: dict[str, Acknowledgement] = {}
        self._number = 0

    @classmethod
    async def open(cls, client: Client) -> Self:
        """A channel on this connection."""
        channel = cls(client)
        await client.subscribe(f"{channel._inbox}.*", cb=channel._receive)
        return channel

    async def send(self, message: OutgoingMessage) -> Acknowledgement:
        """Send the message now; the future ends when JetStream has stored it, or fails with JetStream's error."""
        self._number += 1
        acknowledgement = self._pending[str(self._number)] = asyncio.get_running_loop().create_future()
        acknowledgement.add_done_callback(_retrieve)
        # a copy, since nats-py adds to the headers it is given
        await self.client.publish(
            message.subject, message.payload, reply=f"{self._inbox}.{self._number}", headers=dict(message.headers)
        )
        return acknowledgement

    async def _receive(self, reply: Msg) -> None:
        acknowledgement = self._pending.pop(reply.subject.rpartition(".")[2], None)
        if acknowledgement is None or acknowledgement.done():  # its caller no longer waits
            return
        try:
            is_duplicate = _parse(reply)
        except Exception as error:
            acknowledgement.set_exception(error)
        else:
            acknowledgement.set_result(is_duplicate)


def _parse(reply: Msg) -> bool:
    if reply.headers and reply.headers.get("Status") == NO_RESPONDERS:
        raise NoStreamResponseError
    answer = orjson.loads(reply.data)
    if error := answer.get("error"):
        raise APIError.from_error(error)
    return bool(answer.get("duplicate"))


def _retrieve(acknowledgement: Acknowledgement) -> None:
    # after the first refusal nobody awaits the rest, and asyncio would log each as never retrieved
    if not acknowledgement.cancelled():
        acknowledgement.exception()
