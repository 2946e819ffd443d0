"""Events exported from one log and imported into another are the same there; the first log recognizes them."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventscope.client import event
from eventscope.exporters import form as exported
from eventscope.importers.files import BadLine, Items, MessageLine, read_csv, read_jsonl
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageBatch, RejectedMessage, StreamPosition
from eventscope.store.write.content import NOT_CONTENT
from eventscope.store.write.draft import Draft
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.ingest.kept_headers import KeptHeaders
from eventscope.subscriptions.messages.envelope import EXPORTED, MessageEnvelope
from eventscope.subscriptions.messages.json_body import MOST_BYTES, MOST_EXPORTED_BYTES
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.publish.protocol import compose
from tests.store.support.json_values import json_values

AT = moment.from_text("2026-03-02T00:00:00Z")
OURS = ("messageId", "position", "cursor", "recordedAt", "extensions", "end")

ODD = st.sampled_from(["=1+1", "'=x", "-5", "@a", "\t", "a\r\nb", '"', "größe\0", "\u202e😀", "null", "5", ","])
TEXTS = st.text(min_size=1, max_size=20) | ODD
VERSIONS = st.integers(-(2**63), 2**63 - 1) | st.integers(1, 3) | st.sampled_from(["2.1", [1], {"a": 1}, True, 1.5])
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "aggregateType": st.sampled_from(["user", "=user"]),
    "aggregateId": st.sampled_from(["1", "'1"]) | TEXTS,
    "correlationId": TEXTS,
    "causationId": TEXTS,
    "userId": TEXTS,
    "timestamp": st.datetimes().map(lambda time: f"{time.isoformat()}Z"),
    "version": VERSIONS,
    "data": json_values(),
    "metadata": json_values() | st.fixed_dictionaries({"headers": json_values()}),
}
PLAIN = st.fixed_dictionaries({"type": st.sampled_from(["user.created", "a"])}, optional=OPTIONAL)
EXTENDED = st.dictionaries(st.text(max_size=5) | st.sampled_from(OURS), json_values(), max_size=2)
CLOUD = st.fixed_dictionaries(
    {"specversion": st.just("1.0"), "id": TEXTS, "source": TEXTS, "type": st.just("user.created")},
    optional={name: json_values() for name in ("version", "timestamp", "metadata", "messageid", "data", "cursor")},
)
MESSAGES = st.tuples(st.just("plain"), st.builds(lambda a, b: {**b, **a}, PLAIN, EXTENDED)) | st.tuples(
    st.just("cloudevents"), CLOUD
)
HEADERS = st.dictionaries(st.sampled_from(["traceparent", "tracestate"]), st.just("00-x"), max_size=1)


class Log:
    """What an ingester would store, in memory."""

    def __init__(self, start: int) -> None:
        at = LogCheckpoint(
            head=0, rejected_head=0, stream_position=None, source_resets=0, holder=None, term=0, lease_held=False
        )
        self.draft = Draft(AT, Retention({"*": 0.0}), at, MessageBatch((), StreamPosition("S", "", 0, 0)), {}, {})
        self._now = start

    def take(self, raw: bytes, headers: Mapping[str, str], envelope: MessageEnvelope) -> None:
        self._now += 1
        arrival = Arrival("events.x", headers, raw, self._now, AT + self._now)
        self.draft.add(KeptHeaders(("traceparent", "tracestate")).add_to(parse_message(arrival, "S", None, envelope)))

    def come_back(self, items: Items) -> None:
        for item in items:
            assert isinstance(item, MessageLine), item
            assert item.exported
            letter = compose(item.message, "S", ["events.>"], 2**30, exported=True)
            self.take(letter.payload, letter.headers, "nestjs")  # whatever is set

    def content(self) -> list[dict[str, Any]]:
        kept = NOT_CONTENT - {"version", "claimedVersion", "_id"}
        events = [{name: value for name, value in one.items() if name not in kept} for one in self.draft.events]
        # no event contains NaN, and 1 is not 1.0
        return [orjson.loads(orjson.dumps(one, option=orjson.OPT_SORT_KEYS)) for one in events]


def of_api(document: EventDocument) -> event.Event:
    """The event as the API returns it to a client."""
    node: dict[str, Any] = {name: document.get(name) for name in event.NAMES.values()}
    node |= {"position": document["_id"], "cursor": f"e{document['_id']:x}.tag"}
    for own in event.TIMES:
        node[event.NAMES[own]] = moment.to_text(document["timestamp" if own == "timestamp" else "recordedAt"])
    return event.parse_event(orjson.loads(orjson.dumps(node)))


def filled(messages: list[tuple[MessageEnvelope, dict[str, Any]]], headers: Mapping[str, str]) -> Log:
    log = Log(0)
    for envelope, message in messages:
        try:
            raw = orjson.dumps(message)
        except TypeError:  # integers over 64 bits
            continue
        log.take(raw, headers, envelope)
    log.draft.rejections.clear()
    log.draft.duplicates = 0
    return log


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=5), HEADERS, st.sampled_from(["jsonl", "csv"]))
@example([("cloudevents", {"specversion": "1.0", "id": "1", "source": "s", "type": "a", "version": 2})], {}, "jsonl")
@example([("plain", {"type": "a", "version": "2.1", "extensions": {"a": 1}, "cursor": 5})], {}, "csv")
@example([("plain", {"type": "a", "userId": "=1", "data": -5, "metadata": ""})], {}, "csv")
@example([("plain", {"type": "a", "data": [-0.0, 1e22, 5e-324, 0.1, 1.0, 2**63 - 1, -(2**63)]})], {}, "csv")
@example([("plain", {"type": "a", "metadata": {}})], {"traceparent": "00-x"}, "jsonl")
def test_an_export_recreates_the_log_elsewhere_and_changes_nothing_in_its_own(
    tmp_path_factory: pytest.TempPathFactory,
    messages: list[tuple[MessageEnvelope, dict[str, Any]]],
    headers: dict[str, str],
    form: str,
) -> None:
    origin, other = filled(messages, headers), Log(1000)
    file = tmp_path_factory.getbasetemp() / f"round.{form}"
    events = [of_api(document) for document in origin.draft.events]
    before = origin.content()
    if form == "csv":
        file.write_bytes(exported.header_row() + b"".join(map(exported.row, events)))
    else:
        file.write_bytes(b"".join(map(exported.line, events)))
    open_file = read_csv if form == "csv" else read_jsonl

    other.come_back(open_file(str(file)))
    assert other.draft.rejections == []
    assert other.content() == before

    origin.come_back(open_file(str(file)))
    assert origin.draft.rejections == []
    assert origin.draft.duplicates == len(events)
    assert origin.content() == before


EVENT = event.Event(
    id="m",
    position=7,
    cursor="e7",
    type="user.created",
    timestamp=moment.to_datetime(AT),
    recorded_at=moment.to_datetime(AT),
    aggregate_type="user",
    aggregate_id="1",
    version=3,
)


def test_a_version_is_imported_as_a_claim() -> None:
    log = Log(0)
    letter = compose(exported.message(orjson.loads(exported.line(EVENT))), "S", ["events.>"], 2**30, exported=True)
    taken = parse_message(
        Arrival("events.user.created", letter.headers, letter.payload, 1, AT), "S", None, "plain", "expect"
    )
    assert isinstance(taken, AcceptedMessage)
    log.draft.add(taken)
    [stored] = log.draft.events
    assert (stored["version"], stored["claimedVersion"]) == (1, 3)


def test_a_line_that_only_resembles_an_export_is_a_message(tmp_path: Path) -> None:
    record = orjson.loads(exported.line(EVENT))
    file = tmp_path / "events.jsonl"
    others = [{**record, "mine": 1}, {k: v for k, v in record.items() if k != "cursor"}]
    file.write_bytes(b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in [record, *others]))
    items = [item for item in read_jsonl(str(file)) if isinstance(item, MessageLine)]
    assert [item.exported for item in items] == [True, False, False]
    assert "position" not in items[0].message
    assert items[1].message == others[0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda lines: lines, None),
        (lambda lines: lines * 2, None),
        (lambda lines: lines[1:], "the 1 lines before are not the 2 that were exported"),
        (lambda lines: [lines[0], *lines], "the 3 lines before are not the 2 that were exported"),
        (lambda lines: [lines[0].replace(b"user", b"uzer"), *lines[1:]], "the 2 lines before are not the 2"),
        (lambda lines: [*lines[:2], b'{"end":{}}\n'], "names a type"),
    ],
)
def test_the_last_line_reveals_that_a_file_was_changed(change: Any, fault: str | None, tmp_path: Path) -> None:
    lines = [exported.line(EVENT)] * 2
    lines.append(exported.end_line("e7", 2, hashlib.sha256(b"".join(lines)).hexdigest()))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(change(lines)))
    bad = [item.reason for item in read_jsonl(str(file)) if isinstance(item, BadLine)]
    assert len(bad) == (fault is not None)
    assert fault is None or fault in bad[0]


def test_no_cell_is_a_formula() -> None:
    for text in ("=1", "+1", "-1", "@x", "\tx", "\rx", "'x"):
        cells = exported.row(replace(EVENT, user_id=text, data=-1)).decode()
        assert f"'{text}" in cells
        assert "'-1" in cells


def test_a_row_that_was_changed_by_hand_is_a_bad_line(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(exported.header_row() + exported.row(EVENT).replace(b",3,", b",x,"))
    [item] = read_csv(str(file))
    assert isinstance(item, BadLine)
    assert "the row is not as it was exported" in item.reason


def test_an_event_may_be_longer_and_nested_deeper_than_its_message_was() -> None:
    deep: Any = 0
    for _ in range(99):
        deep = [deep]
    log = Log(0)
    log.take(orjson.dumps({"type": "a", "rest": deep}), {}, "plain")
    log.take(b'{"type":"a","data":[' + b",".join([b"1e5"] * 250_000) + b"]}", {}, "plain")
    other = Log(1000)
    for document in log.draft.events:
        record = orjson.loads(exported.line(of_api(document)))
        letter = compose(exported.message(record), "S", ["events.>"], 2**30, exported=True)
        other.take(letter.payload, letter.headers, "plain")
    assert len(log.draft.events) == 2
    assert len(letter.payload) > MOST_BYTES
    assert other.content() == log.content()


def test_a_message_that_falsely_claims_to_be_exported_is_rejected_like_any_other() -> None:
    for raw, code in (
        (b'{"type": "a", "extensions": 5}', "WRONG_ENVELOPE"),
        (b"[]", "WRONG_COUNT"),
        (b'{"type": "a", "data": "' + b"x" * MOST_EXPORTED_BYTES + b'"}', "TOO_LARGE"),
    ):
        refused = parse_message(Arrival("events.a", dict(EXPORTED), raw, 1, AT), "S", None)
        assert isinstance(refused, RejectedMessage)
        assert refused.code == code
