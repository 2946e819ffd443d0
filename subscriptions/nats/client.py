"""A NATS client that no message can break, and that authenticates by files: credentials, keys and certificates."""

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
MOST_VIOLATIONS: Final = 16
MOST_REPORTED: Final = 3
VIOLATION_SECONDS: Final = 60.0  # after which a refused message says nothing about the next: permissions may be added


class NonTextSubject(str):
    """A subject that is not UTF-8, with U+FFFD in place of other bytes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the server does not permit us: publishing on a subject, or subscribing to it."""

    text: str
    subject: str
    lasts: bool
    """Whether it applies until the next connection, as for a subscription."""
    at: float

    @property
    def holds(self) -> bool:
        """Whether it still applies."""
        return self.lasts or time.monotonic() - self.at < VIOLATION_SECONDS


# The words of a line are separated by blanks and tabs. nats-py (2.16) ends the subject at any white space, so a subject
# with a vertical tab breaks the connection, or makes it wait for ever.
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

    A different nats-py might not call the methods overridden below, and so go on in plain text where encryption is
    demanded.
    """
    INTERNALS.demand()
    parser.MSG_RE, parser.HMSG_RE = MSG_RE, HMSG_RE


class NatsClient(HeaderClient):
    """The client of all our connections, safe for any bytes that others publish: subjects need not be text."""

    def __init__(self, access: Access = NO_ACCESS, *, encrypted: bool = False) -> None:
        _patch()
        super().__init__()
        self.access = access
        self.encrypted = encrypted
        """Whether TLS is required; nats-py itself would continue in plain text."""
        self.violations: dict[str, Violation] = {}
        """The last violations of permissions on this connection, by their text."""

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
        # nats-py's own parser of these files is not used: it loops for ever on a file without a JWT.
        identity = self.access.identity()
        if identity is not None:
            self._auth_configured = True
            self._signature_cb = identity.sign
            self._public_nkey = identity.public_key
            self._user_jwt_cb = None if identity.jwt is None else identity.jwt.encode
        if self._current_server is not None:
            self.options.update(_credentials_in(self._current_server.uri))
        command: bytes = super()._connect_command()
        return command

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """The TLS context for the next connection."""
        return self.access.tls() or ssl.create_default_context()

    async def _process_err(self, err_msg: str) -> None:
        if (violation := VIOLATION.search(self._original(err_msg))) is not None:
            self._record(violation)
        passes = parser.STALE_CONNECTION in err_msg or parser.PERMISSIONS_ERR in f"nats: {err_msg}"
        if self.options["allow_reconnect"] and not passes:
            # nats-py would close for good, for example when credentials expire or are replaced on the server
            await self._error_cb(nats.errors.Error(f"nats: {err_msg.strip(QUOTES)}"))
            await self._process_op_err(nats.errors.AuthorizationError())
        else:
            await super()._process_err(err_msg)

    def _original(self, lower: str) -> str:
        """The error as the server wrote it; nats-py converts it to lower case, subjects included."""
        original = parser.ERR_RE.match(self._ps.buf)
        return lower if original is None or original[1] is None else original[1].decode()

    def _record(self, violation: re.Match[str]) -> None:
        self.violations.pop(violation[0], None)
        lasts = violation[2].lower() != "publish"
        self.violations[violation[0]] = Violation(violation[0], violation[3], lasts, time.monotonic())
        if len(self.violations) > MOST_VIOLATIONS:
            del self.violations[next(iter(self.violations))]

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
        self.violations.clear()
        try:
            await super()._process_connect_init()
        except BaseException:
            # nats-py leaves the socket open when it gives up a connection during the handshake
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call]  # as most of nats-py
            raise

    async def _read_loop(self) -> None:
        await super()._read_loop()
        if (
            self.is_connected
        ):  # reading ended with an error that nats-py only logs: nothing would come until a ping fails
            await self._process_op_err(nats.errors.ProtocolError())


def api_subject(client: Client, subject: str) -> str:
    """A subject of JetStream's API, in the domain of the connection."""
    access = client.access if isinstance(client, NatsClient) else NO_ACCESS
    return f"{access.api}.{subject}"


def violations_text(client: Client, apart: Sequence[str] = ()) -> str | None:
    """What the server does not permit on this connection, except on subjects `apart`; None if nothing."""
    if not isinstance(client, NatsClient):
        return None
    current = [one for one in client.violations.values() if one.holds]
    texts = [one.text for one in current if not any(covers(pattern, one.subject) for pattern in apart)]
    return f"NATS refuses what Eventscope needs: {'; '.join(texts[-MOST_REPORTED:])}" if texts else None


def violation_on(client: Client, subject: str) -> str | None:
    """What the server does not permit on that subject; None if nothing."""
    violations = client.violations.values() if isinstance(client, NatsClient) else ()
    texts = [one.text for one in violations if one.holds and one.subject == subject]
    return f"NATS refuses it: {texts[-1]}" if texts else None


def _credentials_in(server: ParseResult) -> dict[str, str | None]:
    """The credentials in an address, decoded; nats-py would send them undecoded."""
    name = None if server.username is None else unquote(server.username)
    if server.password is None:
        return {"user": None, "password": None, "token": name}
    return {"user": name, "password": unquote(server.password), "token": None}


def _text(raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode()
