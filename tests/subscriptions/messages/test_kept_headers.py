"""Headers of accepted events: kept if a setting names them, found by filters, and no part of an event's content."""

from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.values.headers import MessageHeaders, Values
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageGroup
from eventscope.subscriptions.ingest.kept_headers import KeptHeaders
from eventscope.subscriptions.ingest.portions import stored_bytes
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.nats.header_block import Sendable
from tests.support.ingesters import ingester
from tests.support.until import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _kept(names: list[str], *headers: tuple[str, str], message: Any = None) -> Any:
    given = MessageHeaders()
    for name, value in headers:
        given.add(name, value)
    raw = orjson.dumps({} if message is None else message)
    return KeptHeaders(names).add_to(parse_message(Arrival("events.a.b", given, raw, 5, 1), "EVENTS", "a.b"))


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ([], None),
        (["other"], None),
        (["traceparent"], {"traceparent": "1"}),
        (["X-TENANT"], {"X-TENANT": ["a", "b", "c"]}),
        (["x-*"], {"X-Tenant": ["a", "b"], "x-tenant": "c"}),
        (["x-tenant", "X-*"], {"x-tenant": ["a", "b", "c"]}),
        (["*"], {"Traceparent": "1", "X-Tenant": ["a", "b"], "x-tenant": "c"}),
        (["nats-msg-id"], {"nats-msg-id": "m"}),
        (["n*"], None),
        (["nats-*"], {"Nats-Msg-Id": "m"}),
        (["Eventscope-*"], {"Eventscope-Message-Id": "o"}),
    ],
)
def test_names_match_in_any_case_and_reserved_ones_only_with_their_prefix_spelled_out(
    names: list[str], kept: Any
) -> None:
    message = _kept(
        names,
        ("Traceparent", "1"),
        ("X-Tenant", "a"),
        ("x-tenant", "c"),
        ("X-Tenant", "b"),
        ("Nats-Msg-Id", "m"),
        ("Eventscope-Message-Id", "o"),
    )
    assert message.fields.get("metadata") == (None if kept is None else {"headers": kept})


@pytest.mark.parametrize("metadata", [{"headers": {"own": 1}}, {"headers": None}, "text", [1], 5])
def test_nothing_that_was_sent_is_replaced(metadata: Any) -> None:
    message = _kept(["t"], ("t", "1"), message={"metadata": metadata})
    assert (message.fields["metadata"], message.keeps_headers) == (metadata, False)


def test_each_event_of_a_group_gets_the_headers_in_its_metadata() -> None:
    message = _kept(["t"], ("t", "1"), message=[{"metadata": {"ip": "::1"}}, {}])
    assert isinstance(message, MessageGroup)
    assert [one.fields["metadata"] for one in message.messages] == [
        {"ip": "::1", "headers": {"t": "1"}},
        {"headers": {"t": "1"}},
    ]


def test_headers_that_are_too_large_for_all_events_of_a_group_are_kept_with_the_first() -> None:
    state = ("tracestate", "s" * 15_000)
    message = _kept(["trace*"], ("traceparent", TRACE), state, ("tracez", "z" * 512), message=[{}] * 1000)
    first, *others = [one.fields["metadata"]["headers"] for one in message.messages]
    assert first == {"traceparent": TRACE, "tracestate": state[1], "tracez": "z" * 512}
    assert others == [{"traceparent": TRACE, "tracez": "z" * 512}] * 999
    assert stored_bytes(message) < 2 * 1024 * 1024


@given(
    st.dictionaries(st.from_regex("[a-z]{1,9}", fullmatch=True), st.sampled_from([0, 1, 500, 1030, 15_000, 50_000])),
    st.sampled_from([1, 2, 30, 1000]),
)
def test_kept_headers_are_limited_and_each_event_has_a_header_completely_or_not_at_all(
    lengths: dict[str, int], events: int
) -> None:
    headers = {name: "x" * length for name, length in lengths.items()}
    message = _kept(["*"], *headers.items(), message=[{}] * events)
    kept = [one.fields.get("metadata", {}).get("headers", {}) for one in message.messages]
    assert kept[0] == headers
    assert all(one.items() <= headers.items() for one in kept)
    size = sum(len(name) + len(value) for one in kept[1:] for name, value in one.items())
    assert size <= 1024 * 1024
    assert stored_bytes(message) > size


class _Counted(MessageHeaders):
    """Headers that count how often all of them were read."""

    times = 0

    @property
    def every(self) -> Values:
        self.times += 1
        return super().every


def test_headers_are_examined_once_however_many_are_kept() -> None:
    headers = _Counted()
    for number in range(100):
        headers.add(f"h{number}", "")
    KeptHeaders(["*"]).add_to(parse_message(Arrival("events.a.b", headers, b"{}", 5, 1), "EVENTS", "a.b"))
    assert headers.times == 1


def test_a_message_without_such_headers_and_a_rejected_one_are_unchanged() -> None:
    assert isinstance(_kept(["t"]), AcceptedMessage)
    assert _kept(["t"], ("t", "1"), message=5).code == "NOT_AN_OBJECT"


async def _send(client: Client, subject: str, content: object, **headers: str | list[str]) -> None:
    await client.jetstream().publish(subject, orjson.dumps(content), headers=Sendable(headers))


async def _stored(log: Log, count: int) -> list[Any]:
    async def found() -> list[Any]:
        events = list(await pages.events(log, EVERYTHING, limit=50))
        return events if len(events) >= count else []

    return sorted(await until(found), key=lambda event: int(event["_id"]))


async def test_the_trace_context_is_kept_by_default_and_filters_find_it(
    log: Log, client: Client, subject_prefix: str, ingesting: None, api: str
) -> None:
    await _send(client, f"{subject_prefix}.a", {}, traceparent=TRACE, tracestate="a=1", tenant="eu")
    await _send(client, f"{subject_prefix}.b", {})
    first, second = await _stored(log, 2)
    assert first["metadata"] == {"headers": {"traceparent": TRACE, "tracestate": "a=1"}}
    assert "metadata" not in second
    asked = (
        '{ events(filter: {metadata: [{path: "headers.traceparent", startsWith: "00-0af7"}]}) { nodes { metadata } } }'
    )
    async with httpx.AsyncClient() as http:
        answer = (await http.post(f"{api}/graphql", json={"query": asked})).json()
    assert answer["data"]["events"]["nodes"] == [{"metadata": first["metadata"]}]


METADATA: list[Any] = [None, {}, {"ip": "::1"}, {"$ref": "a", "$id": 1}]


@pytest.mark.parametrize("metadata", METADATA, ids=str)
async def test_a_message_that_is_sent_again_with_other_headers_is_the_same(
    log: Log, client: Client, subject_prefix: str, ingesting: None, metadata: Any
) -> None:
    content = {"metadata": metadata, "messageId": "m"}
    for headers in ({"traceparent": TRACE}, {"traceparent": "other", "tracestate": "b=2"}, {}, {"traceparent": TRACE}):
        await _send(client, f"{subject_prefix}.a", content, **headers)
    await _send(client, f"{subject_prefix}.a", {"messageId": "without"})
    await _send(client, f"{subject_prefix}.a", {"messageId": "without"}, traceparent=TRACE)
    await _send(client, f"{subject_prefix}.last", {})
    assert [event["messageId"] for event in await _stored(log, 3)][:2] == ["m", "without"]
    assert await messages.rejections(log, limit=1) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"metadata": {"ip": "a"}}, {"metadata": {"ip": "b"}}),
        ({"metadata": {"ip": "a"}}, {}),
        ({}, {"metadata": {"headers": {"traceparent": TRACE, "own": 1}}}),
        ({"metadata": {"headers": {"own": 1}}}, {"metadata": {"headers": {"own": 2}}}),
    ],
)
async def test_a_message_with_other_content_is_another_even_in_a_member_named_headers(
    log: Log, client: Client, subject_prefix: str, ingesting: None, first: dict[str, Any], second: dict[str, Any]
) -> None:
    for message in (first, second):
        await _send(client, f"{subject_prefix}.a", {**message, "messageId": "m"}, traceparent=TRACE)
    [refused] = await until(lambda: messages.rejections(log, limit=2))
    assert refused.code == "ID_REUSED"


async def test_the_setting_decides_which_headers_are_kept(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings.model_copy(update={"keep_headers": ("X-*",)})):
        headers: dict[str, Any] = {"x-tag": ["a", "b"], "traceparent": TRACE, "Nats-Msg-Id": "m"}
        await _send(client, f"{subject_prefix}.a", {}, **headers)
        [event] = await _stored(log, 1)
    assert (event["messageId"], event["metadata"]["headers"].keys()) == ("m", {"x-tag"})
    assert event["metadata"]["headers"]["x-tag"] == ["a", "b"]


async def test_a_cloud_event_keeps_its_attributes_as_extensions_and_other_headers_like_any_event(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    cloud = {f"{subject_prefix}.>": "cloudevents"}
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "a.b", "ce-traceparent": "own"}
    async with ingester(settings.model_copy(update={"envelopes": cloud})):
        await _send(client, f"{subject_prefix}.a", {}, traceparent=TRACE, **headers)
        [event] = await _stored(log, 1)
    assert event["extensions"]["traceparent"] == "own"
    assert event["metadata"] == {"headers": {"traceparent": TRACE}}
