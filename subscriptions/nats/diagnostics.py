"""The state of the NATS server and the stream, as far as the log depends on them, for operators."""

import asyncio
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import URLError

import nats.errors
import orjson
from nats.aio.client import Client

from eventscope.errors import Unavailable
from eventscope.proxies import proxy_to, through
from eventscope.redact import explanation, redacted
from eventscope.store.values import moment
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.nats.client import api_subject
from eventscope.subscriptions.nats.holders import Holder, holders
from eventscope.subscriptions.nats.stream import unavailable

SECONDS: Final = 5.0
NOT_FOUND: Final = 404
SECOND: Final = 1_000_000_000  # in the nanoseconds of JetStream


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """The stream as JetStream keeps it. Limits are None if there are none; durations are in seconds, times in µs."""

    subjects: tuple[str, ...]
    storage: str
    replicas: int
    absent_replicas: tuple[str, ...]  # replicas that are offline or lag behind
    retention: str
    discard: str
    max_age: float | None
    max_bytes: int | None
    max_messages: int | None
    max_per_subject: int | None
    duplicate_window: float
    is_sealed: bool
    messages: int
    bytes: int
    first: int | None
    last: int | None
    first_sequence: int = 0
    last_sequence: int = 0


@dataclass(frozen=True, slots=True)
class NatsFacts:
    """What the server reports. `jetstream` says why there is no JetStream; `stream` is None if there is no stream.

    `holders` are the durable consumers of the stream, and `capturing_streams` those that capture what Eventscope sends.
    `ahead` is its clock minus ours in seconds, wrong by at most `doubt`; None if it is unknown.
    """

    version: tuple[int, int, int]
    max_payload: int
    jetstream: str | None
    stream: StreamFacts | None
    storage_limit: int | None
    storage_used: int
    ahead: float | None
    doubt: float
    holders: tuple[Holder, ...] = ()
    capturing_streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MonitoringFacts:
    """What only the monitoring address reports."""

    server: str
    sync_always: bool


async def nats_facts(client: Client, stream: str, seconds: float = SECONDS) -> NatsFacts:
    """What the server reports. Unavailable when it does not answer a request within `seconds`."""
    server = client.connected_server_version
    version = (server.major, server.minor, server.patch)
    try:
        account = await _request(client, "INFO", seconds)
        before = moment.now()
        info = await _request(client, f"STREAM.INFO.{stream}", seconds)
        after = moment.now()
        exists = "error" not in info
        consumers = await holders(client.jetstream(), stream) if exists else []
        live = {"subject": live_batch.subject(stream)}
        answer = await _request(client, "STREAM.NAMES", seconds, live) if exists else {}
    except nats.errors.NoRespondersError:
        return NatsFacts(version, client.max_payload, "it was started without -js", None, None, 0, None, 0.0)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise unavailable(error, client) from error
    trouble = account.get("error") or info.get("error")
    missing = trouble is not None and trouble["code"] == NOT_FOUND
    clock = moment.from_text(info["ts"]) if "ts" in info else None
    return NatsFacts(
        version=version,
        max_payload=client.max_payload,
        jetstream=None if trouble is None or missing else str(trouble["description"]),
        stream=None if trouble is not None else _stream(info),
        storage_limit=_limit(account.get("limits", {}).get("max_storage")),
        storage_used=account.get("storage", 0),
        ahead=None if clock is None else (clock - (before + after) / 2) / 1_000_000,
        doubt=(after - before) / 2_000_000,
        holders=tuple(consumers),
        capturing_streams=tuple(answer.get("streams") or ()),
    )


async def monitoring_facts(url: str) -> MonitoringFacts:
    """What the monitoring address, `http://host:8222`, reports. Unavailable when it does not answer."""

    proxy = proxy_to(url)
    proxies = {} if proxy is None else {"http": proxy, "https": proxy}

    def get() -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
        with opener.open(f"{url.rstrip('/')}/varz", timeout=SECONDS) as answer:
            return orjson.loads(answer.read())

    try:
        facts = await asyncio.to_thread(get)
        # only this shows "always": sync_interval is then two minutes, as by default
        return MonitoringFacts(facts["server_name"], bool(facts["jetstream"].get("config", {}).get("sync_always")))
    except (URLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(
            f"{redacted(url)} is not the monitoring address of a NATS server{through(proxy)}"
            f" ({explanation(error, url)})"
        ) from error


async def _request(
    client: Client, subject: str, seconds: float, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    # not parsed by nats-py, whose classes have neither the server's time nor those of the first and last message
    reply = await client.request(api_subject(client, subject), orjson.dumps(body or {}), timeout=seconds)
    answer: dict[str, Any] = orjson.loads(reply.data)
    return answer


def _stream(info: dict[str, Any]) -> StreamFacts:
    config, state = info["config"], info["state"]
    replicas = info.get("cluster", {}).get("replicas", [])
    has_messages = state["messages"] > 0
    return StreamFacts(
        subjects=tuple(config.get("subjects", ())),
        storage=config["storage"],
        replicas=config["num_replicas"],
        absent_replicas=tuple(one["name"] for one in replicas if one.get("offline") or not one.get("current")),
        retention=config["retention"],
        discard=config["discard"],
        max_age=_limit(config["max_age"] / SECOND),
        max_bytes=_limit(config["max_bytes"]),
        max_messages=_limit(config["max_msgs"]),
        max_per_subject=None if config.get("discard_new_per_subject") else _limit(config["max_msgs_per_subject"]),
        duplicate_window=config.get("duplicate_window", 0) / SECOND,
        is_sealed=config.get("sealed", False),
        messages=state["messages"],
        bytes=state["bytes"],
        first_sequence=state["first_seq"],
        last_sequence=state["last_seq"],
        first=moment.from_text(state["first_ts"]) if has_messages else None,
        last=moment.from_text(state["last_ts"]) if has_messages else None,
    )


def _limit(value: Any) -> Any:
    return value if value is not None and value > 0 else None
