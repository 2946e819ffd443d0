"""A NATS client that no message makes deaf, and that is let in by files: credentials, keys and certificates."""

import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import ParseResult, unquote

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.js import JetStreamContext
from nats.protocol import parser

from eventscope.internals import Internals
from eventscope.subscriptions.nats.access import NO_ACCESS, Access
from eventscope.subscriptions.nats.header_block import HeaderClient
from eventscope.subscriptions.nats.subjects import covers

QUOTES: Final = "'"
VIOLATION: Final = re.compile(r'(permissions violation for (publish|subscription) to )"([^"]*)"', re.IGNORECASE)
MOST_REFUSALS: Final = 16
MOST_TOLD: Final = 3
REFUSED_SECONDS: Final = 60.0  # after which a refused message says nothing of the next: users may be given more


class NonTextSubject(str):
    """What a subject that is no UTF-8 is shown as: U+FFFD stands for what nobody can tell."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the server does not permit us: to publish on a subject, or to subscribe to it."""

    what: str
    subject: str
    lasts: bool
    """Whether it holds until the next connection is made, as that of a subscription does."""
    at: float

    @property
    def holds(self) -> bool:
        """Whether it says how things are now."""
        return self.lasts or time.monotonic() - self.at < REFUSED_SECONDS


# Between the words of a line stand blanks and tabs. nats-py (2.16) takes every white space for an end of the subject,
# so one with a vertical tab breaks the connection, or is waited upon for ever.
MSG_RE: Final = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
HMSG_RE: Final = re.compile(rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n")


INTERNALS: Final = Internals(
    "nats-py",
    {
        Client: {
            "_process_info": "info initial_connection",
            "_connect_command": "",
            "_process_err": "err_msg",
            "_process_op_err": "e",
            "_process_headers": "headers",
            "_build_message": "sid subject reply data headers",
            "_process_connect_init": "",
            "_read_loop": "",
        }
    },
    {
        Client: "_current_server _auth_configured _signature_cb _public_nkey _user_jwt_cb _error_cb _ps _transport",
        JetStreamContext: "_prefix _nc",
        TcpTransport: "_io_writer",
        parser: "MSG_RE HMSG_RE ERR_RE STALE_CONNECTION PERMISSIONS_ERR",
        parser.Parser: "buf",
    },
)


@cache
def _patch() -> None:
    """Patch nats-py, once; CannotStart if its internals are not as we know them.

    It would then not call the methods overridden below, and could go on in plain text where encryption is demanded.
    """
    INTERNALS.demand()
    parser.MSG_RE, parser.HMSG_RE = MSG_RE, HMSG_RE


class NatsClient(HeaderClient):
    """The client of all our connections, made safe for whatever bytes others publish: subjects need not be text."""

    def __init__(self, access: Access = NO_ACCESS, *, encrypted: bool = False) -> None:
        _patch()
        super().__init__()
        self.access = access
        self.encrypted = encrypted
        """Whether a server that does not encrypt is refused; nats-py itself would go on in plain text."""
        self.refusals: dict[str, Violation] = {}
        """What this connection was refused last, in the server's words."""

    def jetstream(self, **options: Any) -> JetStreamContext:
        """JetStream in our domain."""
        return super().jetstream(**{"prefix": self.access.api, **options})

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        over_tls = self._current_server is not None and self._current_server.uri.scheme == "wss"
        if initial_connection and self.encrypted and not (over_tls or info.get("tls_required")):
            if not info.get("tls_available"):
                raise nats.errors.SecureConnRequiredError
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    def _connect_command(self) -> bytes:
        # Not by nats-py's own reading of the files: it looks for a JWT in one that has none without an end.
        identity = self.access.identity()
        if identity is not None:
            self._auth_configured = True
            self._signature_cb = identity.sign
            self._public_nkey = identity.public_key
            self._user_jwt_cb = None if identity.jwt is None else identity.jwt.encode
        if self._current_server is not None:
            self.options.update(_in_address(self._current_server.uri))
        command: bytes = super()._connect_command()
        return command

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """How to encrypt the next connection."""
        return self.access.tls() or ssl.create_default_context()

    async def _process_err(self, err_msg: str) -> None:
        if (violation := VIOLATION.search(self._said(err_msg))) is not None:
            self._note(violation)
        passes = parser.STALE_CONNECTION in err_msg or parser.PERMISSIONS_ERR in f"nats: {err_msg}"
        if self.options["allow_reconnect"] and not passes:
            # nats-py would be closed for good: when credentials run out, or the server is given other ones for us
            await self._error_cb(nats.errors.Error(f"nats: {err_msg.strip(QUOTES)}"))
            await self._process_op_err(nats.errors.AuthorizationError())
        else:
            await super()._process_err(err_msg)

    def _said(self, lower: str) -> str:
        """The error as the server wrote it; nats-py makes small letters of it, and subjects other ones."""
        written = parser.ERR_RE.match(self._ps.buf)
        return lower if written is None or written[1] is None else written[1].decode()

    def _note(self, violation: re.Match[str]) -> None:
        self.refusals.pop(violation[0], None)
        lasts = violation[2].lower() != "publish"
        self.refusals[violation[0]] = Violation(violation[0], violation[3], lasts, time.monotonic())
        if len(self.refusals) > MOST_REFUSALS:
            del self.refusals[next(iter(self.refusals))]

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        try:
            message: Msg = super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            message = super()._build_message(sid, _text(subject), _text(reply), data, headers)
            if _text(subject) != subject:
                message.subject = NonTextSubject(message.subject)
        return message

    async def _process_connect_init(self) -> None:
        self.refusals.clear()
        try:
            await super()._process_connect_init()
        except BaseException:
            # nats-py leaves the socket open of each connection that it gives up while it is being made
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call]  # as most of nats-py
            raise

    async def _read_loop(self) -> None:
        await super()._read_loop()
        if self.is_connected:  # it ended for an error that nats-py only logs, and would stay deaf until a ping fails
            await self._process_op_err(nats.errors.ProtocolError())


def api(client: Client, subject: str) -> str:
    """The subject of JetStream's API, in the domain of the connection."""
    access = client.access if isinstance(client, NatsClient) else NO_ACCESS
    return f"{access.api}.{subject}"


def violations_text(client: Client, apart: Sequence[str] = ()) -> str | None:
    """What the server has not permitted on this connection, beside subjects of these patterns; None for nothing."""
    if not isinstance(client, NatsClient):
        return None
    held = [one for one in client.refusals.values() if one.holds]
    found = [one.what for one in held if not any(covers(pattern, one.subject) for pattern in apart)]
    return f"NATS refuses what Eventscope needs: {'; '.join(found[-MOST_TOLD:])}" if found else None


def violation_on(client: Client, subject: str) -> str | None:
    """What the server does not permit on that very subject; None for nothing."""
    refusals = client.refusals.values() if isinstance(client, NatsClient) else ()
    found = [one.what for one in refusals if one.holds and one.subject == subject]
    return f"NATS refuses it: {found[-1]}" if found else None


def _in_address(server: ParseResult) -> dict[str, str | None]:
    """What an address says of who we are, decoded; nats-py would send what stands there."""
    name = None if server.username is None else unquote(server.username)
    if server.password is None:
        return {"user": None, "password": None, "token": name}
    return {"user": name, "password": unquote(server.password), "token": None}


def _text(raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode()
