"""A NATS client that no message makes deaf: nats-py stops reading at subjects that it cannot decode."""

import re

import nats.errors
from nats.aio.msg import Msg
from nats.protocol import parser

from eventscope.subscriptions.header_block import HeaderClient


class NotText(str):
    """What a subject that is no UTF-8 is shown as: U+FFFD stands for what nobody can tell."""

    __slots__ = ()


# Between the words of a line stand blanks and tabs. nats-py (2.16) takes every white space for an end of the subject,
# so one with a vertical tab breaks the connection, or is waited upon for ever.
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
parser.HMSG_RE = re.compile(rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n")


class NatsClient(HeaderClient):
    """The client of all our connections, made safe for whatever bytes others publish: subjects need not be text."""

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        try:
            message: Msg = super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            message = super()._build_message(sid, _text(subject), _text(reply), data, headers)
            if _text(subject) != subject:
                message.subject = NotText(message.subject)
        return message

    async def _read_loop(self) -> None:
        await super()._read_loop()
        if self.is_connected:  # it ended for an error that nats-py only logs, and would stay deaf until a ping fails
            await self._process_op_err(nats.errors.ProtocolError())


def _text(raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode()
