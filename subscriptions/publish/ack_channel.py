"""A line to JetStream: letters go out in order on one connection, and for each an acknowledgement comes back.

nats-py's own `publish_async` never tells of a refusal: it raises where it should hand the error over (2.16).
"""

import asyncio
from typing import Final, Self

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError

from eventscope.subscriptions.publish.outgoing import OutgoingMessage

NO_RESPONDERS: Final = "503"

Acknowledgement = asyncio.Future[bool]
"""Whether JetStream had the message already, by its id."""


class AckChannel:
    """Made by `open`; it is of use as long as its connection is."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._inbox = client.new_inbox()
        self._awaited: dict[str, Acknowledgement] = {}
        self._number = 0

    @classmethod
    async def open(cls, client: Client) -> Self:
        """A line on this connection."""
        line = cls(client)
        await client.subscribe(f"{line._inbox}.*", cb=line._answered)
        return line

    async def send(self, letter: OutgoingMessage) -> Acknowledgement:
        """Send the letter now; what is returned ends when JetStream has taken it, or fails with JetStream's error."""
        self._number += 1
        acknowledgement = self._awaited[str(self._number)] = asyncio.get_running_loop().create_future()
        acknowledgement.add_done_callback(_look)
        # nats-py adds to the headers that it is given
        await self.client.publish(
            letter.subject, letter.payload, reply=f"{self._inbox}.{self._number}", headers=dict(letter.headers)
        )
        return acknowledgement

    async def _answered(self, message: Msg) -> None:
        acknowledgement = self._awaited.pop(message.subject.rpartition(".")[2], None)
        if acknowledgement is None or acknowledgement.done():  # given up by who awaited it
            return
        try:
            had = _check(message)
        except Exception as error:
            acknowledgement.set_exception(error)
        else:
            acknowledgement.set_result(had)


def _check(message: Msg) -> bool:
    if message.headers and message.headers.get("Status") == NO_RESPONDERS:
        raise NoStreamResponseError
    answer = orjson.loads(message.data)
    if error := answer.get("error"):
        raise APIError.from_error(error)
    return bool(answer.get("duplicate"))


def _look(acknowledgement: Acknowledgement) -> None:
    # once one is refused nobody waits for the rest, and asyncio would complain of each of them
    if not acknowledgement.cancelled():
        acknowledgement.exception()
