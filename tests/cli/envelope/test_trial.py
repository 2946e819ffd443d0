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
from eventscope.server.ingester import ingest
from eventscope.settings import PREFIX, Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.values import moment
from tests.cli.support.trials import ORDER, PLACED, SHOP
from tests.support.until import until


def test_a_sample_is_shown_as_the_event_that_it_would_become(tried: Any) -> None:
    event = {"aggregateType": "order", "aggregateId": "00042", "type": "order.placed", "data": {"total": 3}}
    assert tried(ORDER, {"total": 3}) == [{"subject": PLACED, "event": event}]


def test_a_whole_setting_is_tried_by_subject(tried: Any) -> None:
    setting = {"shop.cloud.>": "cloudevents", "shop.>": orjson.loads(ORDER)}
    samples = [{"subject": PLACED, "message": {}}, {"subject": "shop.cloud.x", "message": {}}]
    stored, rejected = tried(setting, samples, None)
    assert stored["event"]["aggregateId"] == "00042"
    assert rejected["rejected"]["code"] == "WRONG_ENVELOPE"


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


def test_several_events_in_one_message_may_be_rejected_together(tried: Any) -> None:
    [shown] = tried({}, {"subject": "shop.a", "message": [{}, 5]})
    assert shown["rejected"]["reason"].startswith("event 2 of 2: ")


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
