"""The connection to NATS, and the JetStream stream that carries all events."""

import asyncio
import logging
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from nats import errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from eventscope.errors import CannotStart, Unavailable
from eventscope.redact import explanation, redacted
from eventscope.settings import variable
from eventscope.subscriptions.nats.access import NO_ACCESS, Access, BadAccess
from eventscope.subscriptions.nats.client import NatsClient, violations_text
from eventscope.subscriptions.nats.subjects import merge_patterns, overlap

FIRST_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 0.5
PING_SECONDS: Final = 5  # after the third without an answer the connection counts as dead, even if it is half open
CLOSE_SECONDS: Final = 1.0
# what a server says when it refuses a client, and errors that another attempt would repeat
REFUSED: Final = re.compile("authori[sz]ation|authentication", re.IGNORECASE)
FINAL: Final = (BadAccess, errors.SecureConnRequiredError, ssl.SSLError)
# codes of JetStream
OVERLAP: Final = 10065
NAME_TAKEN: Final = 10058
NO_ROOM: Final = frozenset({10023, 10028, 10047})

logger = logging.getLogger(__name__)


async def connect(
    url: str,
    name: str,
    *,
    access: Access = NO_ACCESS,
    seconds: float = FIRST_SECONDS,
    lasting: bool = True,
) -> Client:
    """Connect to NATS (commas separate several servers), or raise CannotStart after `seconds`.

    A `lasting` connection is restored whenever it breaks, however long that takes. Any other connection is closed when
    it breaks, so that nothing it still buffers arrives after what the next connection sends. TLS is used if the server
    demands it, the address starts with tls://, or `access` has something for it.
    """
    servers = [server.strip() for server in url.split(",")]
    encrypted = access.encrypted or any(server.startswith("tls://") for server in servers)
    client = NatsClient(access, encrypted=encrypted)
    last: Exception | None = None
    is_connected = False

    async def report(error: Exception) -> None:
        nonlocal last
        if last is None or not _is_final(last):  # later errors say less
            last = error
        if is_connected:
            logger.warning("NATS: %s", _reason(error, url))
        elif _is_final(error):  # another attempt would not help
            raise error

    async def disconnected() -> None:
        if not client.is_closed:  # otherwise we closed it ourselves
            logger.warning("the connection %s to NATS at %s is lost", name, redacted(url))

    async def reconnected() -> None:
        logger.warning("the connection %s to NATS at %s is back", name, redacted(url))

    try:
        access.check()
        async with asyncio.timeout(seconds):
            while not client.is_connected:
                try:
                    await client.connect(
                        servers,
                        name=name,
                        allow_reconnect=lasting,
                        max_reconnect_attempts=-1,
                        reconnect_time_wait=RETRY_SECONDS,  # type: ignore[arg-type]  # annotated as int, used as seconds
                        ping_interval=PING_SECONDS,
                        max_outstanding_pings=2,
                        error_cb=report,
                        disconnected_cb=disconnected,
                        reconnected_cb=reconnected,
                    )
                except ConnectionResetError:
                    # A server closes the connection of a client it refuses, at times before the reason arrives; nats-py
                    # then gives up.
                    await _give_up(client)
                    await asyncio.sleep(RETRY_SECONDS)
                    client = NatsClient(access, encrypted=encrypted)
    except (OSError, errors.Error, ValueError) as error:  # asyncio's TimeoutError is an OSError
        await _give_up(client)
        raise CannotStart(_failed(last or error, url, access)) from None
    except BaseException:
        await _give_up(client)
        raise
    is_connected = True
    return client


async def ensure(js: JetStreamContext, name: str, subjects: Sequence[str], max_bytes: int = 0) -> StreamInfo:
    """Create the stream if it is missing, and add these subjects. Its messages and other subjects stay.

    `max_bytes` limits a stream that is created (0: no limit): a full stream refuses its publishers. Raises CannotStart.
    """
    try:
        info = await _find_or_add(js, name, subjects, max_bytes)
        present = info.config.subjects or []
        merged = merge_patterns(present, subjects)
        if merged == present:
            return info
        return await js.update_stream(info.config, subjects=merged)
    except ServiceUnavailableError as error:
        elsewhere = f", and see that {variable('nats_domain')} is its domain" if js._prefix != NO_ACCESS.api else ""
        raise CannotStart(_without_jetstream(error) + elsewhere) from None
    except errors.TimeoutError:
        violations = violations_text(js._nc)
        raise CannotStart(violations or f"JetStream did not answer when asked for the stream {name}") from None
    except APIError as error:
        patterns = ", ".join(subjects)
        reason = f"JetStream refuses the stream {name} with {patterns}: {error.description}"
        if error.err_code in NO_ROOM and max_bytes:
            reason += (
                f"; {variable('stream_max_bytes')} asks for {max_bytes} bytes{await _free(js)}:"
                " set it lower, or give JetStream more space"
            )
        elif error.err_code == OVERLAP:
            reason += await _others(js, name, subjects)
        raise CannotStart(reason) from None


async def _find_or_add(js: JetStreamContext, name: str, subjects: Sequence[str], max_bytes: int) -> StreamInfo:
    try:
        return await js.stream_info(name)
    except NotFoundError:
        try:
            return await js.add_stream(_config(name, subjects, max_bytes))
        except APIError as error:
            if error.err_code != NAME_TAKEN:
                raise
    return await js.stream_info(name)  # another process created it first, perhaps with other settings


def unavailable(error: BaseException, client: Client) -> Unavailable:
    """The error to raise when NATS does not answer, or refuses a request."""
    if isinstance(error, errors.NoRespondersError | ServiceUnavailableError):
        return Unavailable(_without_jetstream(error))
    if isinstance(error, APIError) and error.description:
        return Unavailable(f"JetStream refuses an answer now: {error.description}")
    return Unavailable(violations_text(client) or f"NATS does not answer now ({type(error).__name__})")


def _without_jetstream(error: errors.NoRespondersError | ServiceUnavailableError) -> str:
    reason = getattr(error, "description", None) or "no answer from its API"
    return f"NATS is there, but its JetStream is not ({reason}); start nats-server with -js"


async def close(client: Client) -> None:
    """Close the connection in any case, even if the server is dead or frozen."""
    # nats-py flushes first: for ever if the server is frozen, and it leaves the socket open if that fails
    with suppress(OSError, errors.Error):
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()
    writer: asyncio.StreamWriter | None = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()
        await asyncio.sleep(0)


async def _give_up(client: Client) -> None:
    if client.options:  # otherwise nats-py could not even parse the address
        await close(client)


async def shares_limit(js: JetStreamContext) -> bool:
    """Whether the account has a limit for all of its streams; False if we are not permitted to know."""
    with suppress(errors.Error, TimeoutError, OSError):
        limits = (await js.account_info()).limits
        return limits.max_storage > 0 or limits.max_memory > 0
    return False


async def _free(js: JetStreamContext) -> str:
    with suppress(errors.Error):
        account = await js.account_info()
        if account.limits.max_storage > 0:
            return f", and the account has {max(0, account.limits.max_storage - account.storage)} left"
    return ""


async def _others(js: JetStreamContext, name: str, subjects: Sequence[str]) -> str:
    with suppress(errors.Error):
        for info in await js.streams_info():
            theirs = info.config.subjects or []
            if info.config.name != name and any(overlap(one, other) for one in theirs for other in subjects):
                return f"; the stream {info.config.name} takes {', '.join(theirs)}"
    return ""


def _config(name: str, subjects: Sequence[str], max_bytes: int) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=merge_patterns([], subjects),
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        # a full stream refuses its publishers, and does not drop messages that nobody has read yet
        discard=DiscardPolicy.NEW,
        max_bytes=max_bytes or -1,
        allow_direct=True,
    )


def _is_final(error: Exception) -> bool:
    return isinstance(error, FINAL) or REFUSED.search(str(error)) is not None


def _failed(error: Exception, url: str, access: Access) -> str:
    reason, address = _reason(error, url), redacted(url)
    if isinstance(error, BadAccess):
        return f"{reason}; see {variable('nats_' + error.field)}"
    if isinstance(error, errors.SecureConnRequiredError):
        return f"NATS at {address} does not offer TLS, which is required; give it a certificate, or remove tls:// here"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of NATS at {address} is not trusted ({error.verify_message});"
            f" name the CA that signed it with {variable('nats_ca_file')}"
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"no TLS with NATS at {address} ({error.reason}); if it demands a certificate of its clients, set one with"
            f" {variable('nats_certificate_file')} and {variable('nats_key_file')}"
        )
    if REFUSED.search(reason):
        return (
            f"NATS at {address} refuses us ({reason}); set what it requires: a password or token in"
            f" {variable('nats_url')}, {variable('nats_credentials_file')} or {variable('nats_nkey_file')}"
        )
    return f"NATS cannot be reached at {address} ({reason}); start it, or give its address with {variable('nats_url')}"


def _reason(error: Exception, url: str) -> str:
    return explanation(error, url).removeprefix("nats: ")
