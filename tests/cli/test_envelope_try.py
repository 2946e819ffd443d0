"""`eventscope envelope try` shows exactly what the ingester would make of messages, and needs no server."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope import envelopes
from eventscope.background import end
from eventscope.cli.envelope.trial import show
from eventscope.errors import BadInput
from eventscope.server.ingester import ingest
from eventscope.settings import PREFIX, Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.values import moment
from tests.support.until import until

SHOP = Settings(subjects=("shop.>",))
ORDER = '{"aggregateType": {"subject": 2}, "aggregateId": {"subject": 3}, "type": {"subject": [2, 4]}, "data": ""}'
PLACED = "shop.order.00042.placed"


@pytest.fixture
def tried(capsys: pytest.CaptureFixture[str]) -> Any:
    """The output for programs, one entry per sample; a sample is rejected exactly if the exit code says so."""

    def of(mapping: Any, content: Any, subject: str | None = PLACED) -> list[Any]:
        text = mapping if isinstance(mapping, str) else orjson.dumps(mapping).decode()
        raw = content if isinstance(content, bytes) else orjson.dumps(content)
        code = show(SHOP, text, raw, subject, as_json=True)
        shown = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert code == any("rejected" in one for one in shown)
        assert [one.pop("sample") for one in shown] == list(range(1, len(shown) + 1))
        return shown

    return of


def test_a_sample_is_shown_as_the_event_that_it_would_become(tried: Any) -> None:
    event = {"aggregateType": "order", "aggregateId": "00042", "type": "order.placed", "data": {"total": 3}}
    assert tried(ORDER, {"total": 3}) == [{"subject": PLACED, "event": event}]


def test_a_whole_setting_is_tried_by_subject(tried: Any) -> None:
    setting = {"shop.cloud.>": "cloudevents", "shop.>": orjson.loads(ORDER)}
    samples = [{"subject": PLACED, "message": {}}, {"subject": "shop.cloud.x", "message": {}}]
    stored, rejected = tried(setting, samples, None)
    assert stored["event"]["aggregateId"] == "00042"
    assert rejected["rejected"]["code"] == "WRONG_ENVELOPE"


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b'{"n": 1}', 1),
        (b'{"n":\n 1}\n', 1),
        (b'[{"n": 1}, {"n": 1}]', 2),
        (b'{"n": 1}\n\n{"n": 1}\r\n{"n": 1}', 3),
    ],
)
def test_samples_may_be_a_document_a_list_or_lines(tried: Any, content: bytes, count: int) -> None:
    assert [one["event"]["data"] for one in tried(ORDER, content)] == [{"n": 1}] * count


def test_a_sample_may_have_a_subject_and_headers_of_its_own(tried: Any) -> None:
    mapping = {"type": {"subject": 2}, "userId": {"header": "x-user"}, "correlationId": {"header": "Trace"}}
    message = {"subject": "shop.a", "headers": {"X-User": "ada", "Trace": ["1", "2"]}, "message": {"a": 1}}
    assert tried(mapping, message)[0]["event"] == {
        "type": "a",
        "userId": "ada",
        "correlationId": "2",
        "extensions": {"a": 1},
    }
    bare = {"message": "hello", "subject": "x", "more": 1}
    assert tried(ORDER, bare)[0]["event"]["data"] == bare


def test_headers_are_read_as_they_would_be_on_arrival(tried: Any) -> None:
    mapping = {"type": {"subject": 2}, "userId": {"header": "X-User"}}
    message = {"subject": "shop.a", "headers": {" X-User": " ada\t"}, "message": {}}
    assert tried(mapping, message)[0]["event"] == {"type": "a", "userId": "ada"}


def test_several_events_in_one_message_are_shown_together(tried: Any) -> None:
    message = {"subject": "shop.a", "message": [{"messageId": "x"}, {"timestamp": "2026-11-23T08:00:00+01:00"}]}
    [shown] = tried({"shop.>": "plain"}, message, None)
    assert shown["events"] == [
        {"type": "a", "messageId": "x"},
        {"type": "a", "timestamp": "2026-11-23T07:00:00Z"},
    ]


def test_versions_that_are_expected_or_claimed_are_shown(tried: Any) -> None:
    message = {"aggregateType": "user", "aggregateId": "42", "version": 3}
    headers = {"Eventscope-Expected-Version": "7"}
    claimed, expected = tried(
        {}, [{"subject": "shop.a", "message": message}, {"subject": "shop.a", "message": message, "headers": headers}]
    )
    assert claimed["event"]["claimedVersion"] == 3
    assert "expectedVersion" not in claimed["event"]
    assert expected["event"]["expectedVersion"] == 7


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "INVALID_JSON"),
        (b'{"n": 123456789012345.6789}', "NUMBER_TOO_PRECISE"),
        (b'{"n": 12345678901234567890}', "INTEGER_TOO_LARGE"),
        (b'{"n": 1, "n": 2}', "DUPLICATE_KEY"),
        (b'{"n": NaN}', "INVALID_JSON"),
        (b"null", "NOT_AN_OBJECT"),
        (b'{"a":' * 120 + b"1" + b"}" * 120, "TOO_DEEP"),
        (b'{"a": "\xff"}', "INVALID_JSON"),
        (b'{"a": "\\ud800"}', "INVALID_JSON"),
        (b'{"\\ud800": [1, {"a": 1, "a": 2.50}]}', "DUPLICATE_KEY"),
        (b"[" * 100_000, "TOO_DEEP"),
    ],
)
def test_no_detail_of_the_bytes_is_lost(tried: Any, line: bytes, code: str) -> None:
    fates = [one["rejected"]["code"] for one in tried(ORDER, line)]
    assert fates == [code]
    assert [one.get("rejected", {}).get("code") for one in tried(ORDER, b"{}\n" + line)] == [None, code]
    if code not in ("INVALID_JSON", "TOO_DEEP") or b"NaN" in line or b"ud800" in line:
        assert tried(ORDER, b"[" + line + b"]")[0]["rejected"]["code"] == code
        wrapped = b'{"subject": "shop.a", "message": ' + line + b"}"
        assert tried(ORDER, wrapped)[0]["rejected"]["code"] == code


def test_several_events_in_one_message_may_be_rejected_together(tried: Any) -> None:
    [shown] = tried({}, {"subject": "shop.a", "message": [{}, 5]})
    assert shown["rejected"]["reason"].startswith("event 2 of 2: ")


def test_a_subject_that_no_stream_accepts_is_noted(tried: Any) -> None:
    [shown] = tried({}, {"type": "a.b"}, "market.a")
    assert shown["notes"] == ["EVENTSCOPE_SUBJECTS is shop.>, which does not match this subject"]
    assert tried({}, {}, "market.a")[0]["rejected"]["code"] == "MISSING_TYPE"


@pytest.mark.parametrize(
    ("mapping", "message", "notes"),
    [
        ({"data": "", "userId": "by", "type": {"subject": [2, 4]}}, {"by": 7}, []),
        (
            {"data": "data", "userId": ["by", "data.vendor"]},
            {"by": 7, "data": {}},
            ["userId is mapped from data.vendor, which is in none of these samples"],
        ),
        (
            {"data": "", "type": [{"subject": 9}, {"header": "Kind"}]},
            {},
            [
                "type is mapped from the subject's words 9, which is in none of these samples",
                "type is mapped from the header Kind, which is in none of these samples",
            ],
        ),
        (
            {"data": "", "aggregateId": "id"},
            {"id": 7},
            ["the event has aggregateId and no aggregateType, so it belongs to no aggregate and gets no version"],
        ),
        (
            {"version": "v", "data": "data"},
            {"v": "2.1", "data": 1},
            ["the mapped version is not an integer, and is kept as extensions.version"],
        ),
        ({"version": "v", "data": "data"}, {"v": 2, "data": 1}, []),
        (
            {"timestamp": {"path": "ts", "as": "milliseconds"}, "data": "data"},
            {"ts": 1764154800, "data": 1},
            [
                "the timestamp is 1970-01-21T10:02:34.800000Z, which is long ago: perhaps seconds were read as"
                " milliseconds"
            ],
        ),
        ({"timestamp": {"path": "ts", "as": "seconds"}, "data": "data"}, {"ts": 1764154800, "data": 1}, []),
        (
            {"userId": "by"},
            {"by": 7, "total": 3},
            ['nothing is mapped to data, so the rest is kept as extensions; "data": "" maps all of it'],
        ),
        ({"userId": "by"}, {"by": 7}, []),
        ({"shop.>": "plain"}, {}, []),
        ({"other.>": "plain"}, {}, ["no pattern matches this subject, so the message is read as plain"]),
    ],
)
def test_a_probable_mistake_is_noted(tried: Any, mapping: Any, message: Any, notes: list[str]) -> None:
    [shown] = tried(mapping, message)
    assert shown.get("notes", []) == notes


def test_a_source_that_one_sample_has_is_not_a_mistake_in_another(
    tried: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = {"data": "", "userId": "by", "correlationId": "why"}
    note = "correlationId is mapped from why, which is in none of these samples"
    samples = [{"by": 7}, {}, 5, [{}]]
    assert [one.get("notes") for one in tried(mapping, samples)] == [[note]] * 4
    assert tried(mapping, [{"by": 7}, {"why": 8}])[1].get("notes") is None
    show(SHOP, orjson.dumps(mapping).decode(), orjson.dumps(samples), PLACED, as_json=False)
    assert capsys.readouterr().out.splitlines()[-2:] == [f"note: {note}", "3 of 4 would be stored"]
    header = {"Eventscope-Envelope": "plain"}
    assert "notes" not in tried(mapping, {"subject": PLACED, "headers": header, "message": {}})[0]


@pytest.mark.parametrize(
    ("mapping", "content", "subject", "reason"),
    [
        (ORDER, b"", "a", "there are no sample messages"),
        (ORDER, b"[]", "a", "there are no sample messages"),
        (ORDER, b"{}", None, "sample 1 names no subject; give --subject"),
        (ORDER, b"{}", "a.*", "sample 1: 'a.*' is not a subject"),
        (ORDER, b"{}", "a..b", "sample 1: 'a..b' is not a subject"),
        (ORDER, b'[{}, {"subject": 5, "message": 1}]', "a", "sample 2: its subject is not a string"),
        (
            ORDER,
            b'{"subject": "a", "message": 1, "headers": []}',
            None,
            "sample 1: headers must be an object",
        ),
        (
            ORDER,
            b'{"subject": "a", "message": 1, "headers": {"a": [1]}}',
            None,
            "sample 1: headers must be an object",
        ),
        (ORDER, b'{"subject": "a", "message": 1, "headers": {"": "x"}}', None, "the header '' cannot be sent"),
        (ORDER, b'{"subject": "a", "message": 1, "headers": {"a:b": "x"}}', None, "the header 'a:b' cannot be sent"),
        (ORDER, b'{"subject": "a", "message": 1, "headers": {"a": "\\ud800"}}', None, "the header 'a' cannot be sent"),
        (ORDER, b'{"subject": "\\ud800", "message": 1}', None, "is not a subject"),
        (ORDER, b"[" + b'{"a":' * 900 + b"1" + b"}" * 900 + b"]", "a", "sample 1 is nested too deep"),
        ('{"agregateId": "x", "type": "y"}', b"{}", "a", "did you mean aggregateId?"),
        ('{"a.>": {"agregateId": "x"}}', b"{}", "a", "did you mean aggregateId?"),
        ("nowhere.json", b"{}", "a", "it cannot be read"),
        ('{"marketplace.>": "nest"}', b"{}", "a", "marketplace.>: 'nest' is not an envelope; did you mean nestjs?"),
    ],
)
def test_mistakes_are_reported(mapping: str, content: bytes, subject: str | None, reason: str) -> None:
    with pytest.raises(BadInput) as wrong:
        show(SHOP, mapping, content, subject, as_json=True)
    assert reason in str(wrong.value)


def test_lines_for_people_contain_no_control_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    samples = '{"name": "Ada \u202e\x9b"}\n{'.encode()
    assert show(SHOP, ORDER, samples, PLACED, as_json=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"1  {PLACED}  stored"
    assert '       "name": "Ada \\u202e\\x9b"' in lines
    assert lines[-2].startswith(f"2  {PLACED}  rejected with INVALID_JSON: ")
    assert lines[-1] == "1 of 2 would be stored"
    assert show(SHOP, ORDER, b"{}", "market.x.y.z", as_json=False) == 0
    assert "EVENTSCOPE_SUBJECTS is shop.>" in capsys.readouterr().out


async def _run(*arguments: str, given: bytes = b"") -> tuple[int | None, bytes, bytes]:
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "envelope", "try", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=theirs | {f"{PREFIX}SUBJECTS": "shop.>"},
    )
    out, err = await process.communicate(given)
    return process.returncode, out, err


@pytest.mark.processes
async def test_the_command_accepts_files_and_standard_input(tmp_path: Path) -> None:
    mapping, samples = tmp_path / "mapping.json", tmp_path / "samples.jsonl"
    mapping.write_text(ORDER)
    samples.write_text('{"n": 1}\n{"n": 2}\n')
    code, out, err = await _run(str(mapping), str(samples), "--subject", PLACED, "--json")
    assert (code, err) == (0, b"")
    assert [orjson.loads(line)["event"]["data"]["n"] for line in out.splitlines()] == [1, 2]
    code, out, _ = await _run(ORDER, "-", "--subject", PLACED, given=b"{")
    assert code == 1
    assert b"0 of 1 would be stored" in out
    code, _, err = await _run(ORDER, str(tmp_path / "none"))
    assert code == 2
    assert b"none cannot be read (No such file or directory)" in err
    assert b"Traceback" not in err


async def test_what_is_shown_is_what_the_message_becomes(
    settings: Settings, log: Log, client: Client, subject_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = {"data": "body", "timestamp": {"path": "ts", "as": "milliseconds"}, "messageId": "id"}
    message = orjson.dumps({"body": {"n": 1}, "ts": 1700000000123, "id": 7, "rest": [1]})
    subject = f"{subject_prefix}.a.b"
    show(settings, orjson.dumps(mapping).decode(), message, subject, as_json=True)
    shown = orjson.loads(capsys.readouterr().out)["event"]
    chosen = settings.model_copy(update={"envelopes": envelopes.setting({f"{subject_prefix}.>": mapping})})
    task = asyncio.create_task(ingest(chosen))
    await client.publish(subject, message)
    [stored] = await until(lambda: pages.events(log, EVERYTHING, limit=2))
    kept = {name: value for name, value in stored.items() if name in shown}
    assert kept | {"timestamp": moment.to_text(stored["timestamp"])} == shown
    await end(task)
