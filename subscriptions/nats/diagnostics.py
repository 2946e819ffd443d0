"""What the NATS server and the stream are like, as far as the log depends on them: for people who look after them."""

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
from eventscope.subscriptions.nats.client import api
from eventscope.subscriptions.nats.holders import Holder, holders
from eventscope.subscriptions.nats.stream import unavailable

SECONDS: Final = 5.0
NOT_FOUND: Final = 404
SECOND: Final = 1_000_000_000  # in the nanoseconds of JetStream


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """The stream as JetStream keeps it; limits are None where there is none, times are seconds and moments."""

    subjects: tuple[str, ...]
    storage: str
    replicas: int
    absent: tuple[str, ...]  # replicas that are away or behind
    retention: str
    discard: str
    max_age: float | None
    max_bytes: int | None
    max_messages: int | None
    max_per_subject: int | None
    duplicate_window: float
    sealed: bool
    messages: int
    bytes: int
    first: int | None
    last: int | None
    first_sequence: int = 0
    last_sequence: int = 0


@dataclass(frozen=True, slots=True)
class NatsFacts:
    """What the server says. `jetstream` is None if it has one, else why not; `stream` is None if it is not there.

    `holders` are the durable consumers of the stream, and `listening` the streams that take in what Eventscope sends.
    `ahead` is its clock less ours in seconds, and wrong by `doubt` at most; None where it is not told.
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
    listening: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MonitoringFacts:
    """What only the monitoring address tells."""

    server: str
    sync_always: bool


async def nats_facts(client: Client, stream: str) -> NatsFacts:
    """Ask the server; Unavailable when it does not answer."""
    found = client.connected_server_version
    version = (found.major, found.minor, found.patch)
    try:
        account = await _asked(client, "INFO")
        before = moment.now()
        info = await _asked(client, f"STREAM.INFO.{stream}")
        after = moment.now()
        there = "error" not in info
        held = await holders(client.jetstream(), stream) if there else []
        listening = await _asked(client, "STREAM.NAMES", {"subject": live_batch.subject(stream)}) if there else {}
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
        holders=tuple(held),
        listening=tuple(listening.get("streams") or ()),
    )


async def monitoring_facts(url: str) -> MonitoringFacts:
    """Ask the monitoring address, `http://host:8222`; Unavailable when there is none."""

    proxy = proxy_to(url)
    proxies = {} if proxy is None else {"http": proxy, "https": proxy}

    def get() -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
        with opener.open(f"{url.rstrip('/')}/varz", timeout=SECONDS) as answer:
            return orjson.loads(answer.read())

    try:
        found = await asyncio.to_thread(get)
        # set to "always" only this tells: sync_interval is then two minutes, as by default
        return MonitoringFacts(found["server_name"], bool(found["jetstream"].get("config", {}).get("sync_always")))
    except (URLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(
            f"{redacted(url)} is no monitoring address of a NATS server{through(proxy)} ({explanation(error, url)})"
        ) from error


async def _asked(client: Client, subject: str, question: Mapping[str, Any] | None = None) -> dict[str, Any]:
    # not by nats-py's own classes: they know neither the server's time nor that of the first and the last message
    reply = await client.request(api(client, subject), orjson.dumps(question or {}), timeout=SECONDS)
    answer: dict[str, Any] = orjson.loads(reply.data)
    return answer


def _stream(info: dict[str, Any]) -> StreamFacts:
    config, state = info["config"], info["state"]
    replicas = info.get("cluster", {}).get("replicas", [])
    kept = state["messages"] > 0
    return StreamFacts(
        subjects=tuple(config.get("subjects", ())),
        storage=config["storage"],
        replicas=config["num_replicas"],
        absent=tuple(one["name"] for one in replicas if one.get("offline") or not one.get("current")),
        retention=config["retention"],
        discard=config["discard"],
        max_age=_limit(config["max_age"] / SECOND),
        max_bytes=_limit(config["max_bytes"]),
        max_messages=_limit(config["max_msgs"]),
        max_per_subject=None if config.get("discard_new_per_subject") else _limit(config["max_msgs_per_subject"]),
        duplicate_window=config.get("duplicate_window", 0) / SECOND,
        sealed=config.get("sealed", False),
        messages=state["messages"],
        bytes=state["bytes"],
        first_sequence=state["first_seq"],
        last_sequence=state["last_seq"],
        first=moment.from_text(state["first_ts"]) if kept else None,
        last=moment.from_text(state["last_ts"]) if kept else None,
    )


def _limit(value: Any) -> Any:
    return value if value is not None and value > 0 else None
