"""`eventscope rejected`: people inspect rejected messages, send them again once their cause is fixed, or drop them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope import envelopes
from eventscope.settings import PREFIX, Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from eventscope.store.values.message import EXPECTED_VERSION
from tests.support.ingesters import ingester
from tests.support.until import until

NO_CODE = "'INVALID_JSN' is not a rejection code; did you mean INVALID_JSON?"
OF_42 = orjson.dumps({"aggregateType": "user", "aggregateId": "42"})


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs the commands, on the servers of the test."""

    settings: Settings

    async def __call__(self, *arguments: str, given: bytes = b"", nats: bool = True) -> Done:
        names = ("mongo_url", "mongo_database", "stream", *(["nats_url"] if nats else []))
        ours = {f"{PREFIX}{name.upper()}": str(getattr(self.settings, name)) for name in names}
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "eventscope", "rejected", *arguments),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=theirs | ours,
        )
        out, err = await process.communicate(given)
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode, out, err.decode())


@pytest.fixture
def run(settings: Settings) -> Shell:
    return Shell(settings)


@pytest.fixture
async def messages(log: Log, client: Client, subject_prefix: str, ingesting: None) -> AsyncIterator[list[bytes]]:
    """Four rejected messages, numbered 1 to 4."""
    sent = [
        (b"no json", {}),
        (OF_42, {EXPECTED_VERSION: "1"}),
        (b"\xff\x00\x1b[2J", {}),
        (OF_42, {EXPECTED_VERSION: "2"}),
    ]
    for raw, headers in sent:
        await client.jetstream().publish(f"{subject_prefix}.user.updated", raw, headers={"Trace": "t1"} | headers)
    await until(lambda: _has(log, 4))
    yield [raw for raw, _ in sent]


async def _has(log: Log, n: int) -> bool:
    return len(await rejected.numbers(log)) == n


def _row(subject: str, code: str = "INVALID_JSON") -> dict[str, Any]:
    """A rejected message as MongoDB has it, without the ingester that would have rejected it."""
    source = {"stream": "EVENTS", "created": "", "sequence": 1}
    kept = {"_id": 1, "code": code, "reason": "", "subject": subject, "headers": {}, "raw": b"{}", "recordedAt": 0}
    return kept | {"source": source}


async def _mend(log: Log, client: Client, prefix: str) -> None:
    message = {"aggregateType": "user", "aggregateId": "42", "messageId": "first"}
    await client.jetstream().publish(f"{prefix}.user.created", orjson.dumps(message))
    await until(lambda: pages.event(log, "first"))


async def test_list_shows_the_newest_first_with_code_subject_time_and_reason(
    run: Shell, messages: Sequence[bytes], subject_prefix: str
) -> None:
    done = await run("list")
    assert done.code == 0
    *rows, summary, codes = done.lines
    assert [row.split()[:2] for row in rows] == [
        ["4", "VERSION_CONFLICT"],
        ["3", "INVALID_JSON"],
        ["2", "VERSION_CONFLICT"],
        ["1", "INVALID_JSON"],
    ]
    assert all(f"Z  {subject_prefix}.user.updated  " in row for row in rows)
    assert rows[0].endswith("user 42 was expected at version 2 and is at 0")
    assert summary == "4 of 4 rejected messages"
    assert codes == "INVALID_JSON 2, VERSION_CONFLICT 2"


async def test_list_can_be_filtered(run: Shell, messages: Sequence[bytes]) -> None:
    done = await run("list", "--code", "INVALID_JSON", "--limit", "1")
    assert [row.split()[0] for row in done.lines] == ["3", "1"]
    assert done.lines[-1] == "1 of 2 rejected messages with INVALID_JSON"


async def test_list_show_and_drop_need_no_nats(run: Shell, messages: Sequence[bytes]) -> None:
    assert (await run("list", nats=False)).code == 0
    assert (await run("show", "1", nats=False)).code == 0
    assert (await run("drop", "1", "--yes", nats=False)).code == 0


async def test_show_prints_everything_known_and_no_byte_can_control_the_terminal(
    run: Shell, messages: Sequence[bytes], settings: Settings
) -> None:
    text = (await run("show", "2")).out.decode()
    assert "code: VERSION_CONFLICT\n" in text
    assert f"place: {settings.stream} 2, stream of " in text
    assert "header Trace: t1\n" in text
    assert text.endswith("\n" + messages[1].decode() + "\n")
    binary = (await run("show", "3")).out
    assert b"\x1b" not in binary
    assert b"ff 00 1b 5b 32 4a" in binary


async def test_show_raw_prints_the_exact_bytes(run: Shell, messages: Sequence[bytes]) -> None:
    assert (await run("show", "3", "--raw")).out == messages[2]


async def test_a_retried_message_is_stored_or_rejected_again_if_its_cause_remains(
    run: Shell, messages: Sequence[bytes], log: Log, client: Client, subject_prefix: str
) -> None:
    await _mend(log, client, subject_prefix)
    done = await run("retry", "4", "2", "1")
    assert done.code == 1
    assert done.lines[0].startswith("1 was sent and is rejected again as 5: INVALID_JSON: ")
    # in order of arrival: version 2 before version 3
    assert done.lines[1:] == ["2 stored, 1 rejected again, 0 not sent"]
    assert [event.get("version") for event in await pages.events(log, EVERYTHING, limit=10)] == [1, 2, 3]
    assert await rejected.numbers(log) == [3, 5]


async def test_all_of_one_code_can_be_retried_at_once(
    run: Shell, messages: Sequence[bytes], log: Log, client: Client, subject_prefix: str
) -> None:
    await _mend(log, client, subject_prefix)
    done = await run("retry", "--all", "--code", "VERSION_CONFLICT")
    assert (done.code, done.lines) == (0, ["2 stored, 0 rejected again, 0 not sent"])
    assert await rejected.numbers(log) == [1, 3]


async def test_what_is_rejected_again_is_not_retried_in_the_same_run(
    run: Shell, messages: Sequence[bytes], log: Log
) -> None:
    done = await run("retry", "--all")
    assert done.lines[-1] == "0 stored, 4 rejected again, 0 not sent"
    assert await rejected.numbers(log) == [5, 6, 7, 8]


@pytest.mark.parametrize("more", [(), ("--with", "-")])
async def test_a_message_that_cannot_be_sent_is_reported_and_stays(run: Shell, log: Log, more: tuple[str, ...]) -> None:
    await log.rejected.insert_one(_row("nobody.takes.this"))
    done = await run("retry", "1", *more, given=b"{}")
    assert (done.code, done.lines) == (
        1,
        ["1 stays: no stream takes nobody.takes.this any more", "0 stored, 0 rejected again, 1 not sent"],
    )
    assert await rejected.numbers(log) == [1]


async def test_drop_asks_for_confirmation_first(run: Shell, messages: Sequence[bytes], log: Log) -> None:
    done = await run("drop", "--all", given=b"n\n")
    assert done.out == b"Drop 4 rejected messages for good? [y/N]: 0 dropped\n"
    assert await rejected.numbers(log) == [1, 2, 3, 4]
    done = await run("drop", "2", given=b"y\n")
    assert done.out.endswith(b"1 dropped\n")
    assert await rejected.numbers(log) == [1, 3, 4]
    done = await run("drop", "--all", "--code", "INVALID_JSON", "--yes")
    assert done.lines == ["2 dropped"]
    assert await rejected.numbers(log) == [4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry",), "give numbers, or --all"),
        (("drop", "1", "--all"), "give numbers, or --all"),
        (("retry", "1", "--code", "INVALID_JSON"), "--code needs --all"),
        (("show", "7"), "there is no rejected message with the number 7"),
        (("retry", "7", "8"), "there is no rejected message with the number 7, 8"),
        (("retry", "7", "--with", "/dev/null"), "there is no rejected message with the number 7"),
        (("retry", "--all", "--with", "/dev/null"), "--with needs exactly one number"),
        (("retry", "7", "8", "--with", "/dev/null"), "--with needs exactly one number"),
        (("retry", "7", "--with", "/nowhere"), "/nowhere cannot be read (No such file or directory)"),
        (("list", "--code", "INVALID_JSN"), NO_CODE),
        (("retry", "--all", "--code", "INVALID_JSN"), NO_CODE),
        (("drop", "--all", "--yes", "--code", "INVALID_JSN"), NO_CODE),
    ],
)
async def test_arguments_that_make_no_sense_are_refused(
    run: Shell, log: Log, arguments: tuple[str, ...], said: str
) -> None:
    done = await run(*arguments)
    assert (done.code, done.err.splitlines()[-1]) == (2, f"eventscope: {said}")


async def test_a_code_may_be_given_in_lower_case(run: Shell, log: Log) -> None:
    await log.rejected.insert_one(_row("x", "NUMBER_TOO_PRECISE"))
    done = await run("list", "--code", "number_too_precise")
    assert (done.code, done.lines[-1]) == (0, "1 of 1 rejected message with NUMBER_TOO_PRECISE")
    assert done.lines[0].split()[1] == "NUMBER_TOO_PRECISE"


async def test_a_code_of_an_older_version_is_known_while_messages_have_it(run: Shell, log: Log) -> None:
    await log.rejected.insert_one(_row("", "TOO_OLD_TO_BE_KNOWN"))
    done = await run("list", "--code", "TOO_OLD_TO_BE_KNOWN")
    assert (done.code, done.lines[-1]) == (0, "1 of 1 rejected message with TOO_OLD_TO_BE_KNOWN")
    done = await run("drop", "--all", "--code", "TOO_OLD_TO_BE_KNOWN", given=b"y\n")
    assert done.out == b"Drop 1 rejected message for good? [y/N]: 1 dropped\n"
    done = await run("list", "--code", "TOO_OLD_TO_BE_KNOWN")
    assert done.code == 2


@pytest.mark.parametrize(
    ("envelope", "wrong", "right", "event"),
    [
        (None, b'{"data": {"n": 1}', b'{"data": {"n": 1}}', {"type": "order.placed", "data": {"n": 1}}),
        (
            {"aggregateType": {"constant": "order"}, "aggregateId": "no", "userId": {"header": "Trace"}, "data": ""},
            b'{"no": []}',
            b'{"no": 7}\n',
            {"type": "order.placed", "aggregateId": "7", "version": 1, "userId": "t1", "data": {"no": 7}},
        ),
        (
            "nestjs",
            b'{"pattern": "order. placed", "data": 1}',
            b'{"pattern": "order.paid", "data": 1}',
            {"type": "order.paid", "data": 1},
        ),
    ],
)
async def test_a_corrected_message_has_the_subject_headers_and_id_of_the_rejected_one(
    envelope: Any,
    wrong: bytes,
    right: bytes,
    event: dict[str, Any],
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    tmp_path: Path,
) -> None:
    """Subject and headers name its type, its envelope and more, so only its bytes have to be right."""
    if envelope is not None:
        given = envelopes.setting({f"{subject_prefix}.>": envelope})
        settings = settings.model_copy(update={"envelopes": given})
    mended = tmp_path / "mended.json"
    mended.write_bytes(right)
    async with ingester(settings):
        headers = {"Trace": "t1", "Nats-Msg-Id": "sent-once"}
        await client.jetstream().publish(f"{subject_prefix}.order.placed", wrong, headers=headers)
        await until(lambda: _has(log, 1))
        done = await Shell(settings)("retry", "1", "--with", str(mended))
    assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
    [stored] = await pages.events(log, EVERYTHING, limit=10)
    assert {name: stored.get(name) for name in event} == event
    assert stored["messageId"] == "sent-once"
    assert await rejected.numbers(log) == []


async def test_a_wrong_correction_leaves_the_rejected_message_there(
    run: Shell, messages: Sequence[bytes], log: Log
) -> None:
    done = await run("retry", "1", "--with", "-", given=b"still no json")
    assert done.code == 1
    assert done.lines[0].startswith("1 was sent and is rejected again as 5: INVALID_JSON: ")
    assert done.lines[-1] == "1 stays rejected, unchanged"
    kept = {one.number: one.raw for one in await rejected.rejections(log, limit=10)}
    assert (kept[1], kept[5]) == (messages[0], b"still no json")
    done = await run("retry", "1", "--with", "-", given=b"{}")
    assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
    assert await rejected.numbers(log) == [2, 3, 4, 5]


async def test_a_corrected_message_that_is_sent_repeatedly_is_stored_once(
    run: Shell, messages: Sequence[bytes], log: Log
) -> None:
    """This happens when the command dies after JetStream got the corrected message, or after it was stored."""
    kept = await log.rejected.find_one({"_id": 1})
    assert kept is not None
    for _ in range(3):
        done = await run("retry", "1", "--with", "-", given=b"{}")
        assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
        await log.rejected.insert_one(kept)
    assert len(await pages.events(log, EVERYTHING, limit=10)) == 1


async def test_a_corrected_message_that_waits_in_nats_leaves_the_rejected_one_there(
    log: Log, client: Client, settings: Settings, subject_prefix: str, run: Shell
) -> None:
    async with ingester(settings):
        await client.jetstream().publish(f"{subject_prefix}.user.created", b"no json")
        await until(lambda: _has(log, 1))
    done = await run("retry", "1", "--with", "-", given=b"{}")
    assert done.code == 1
    assert done.lines[1].startswith("1 sent, but no ingester has answered yet")
    assert done.lines[-1].startswith("1 stays rejected until its corrected message is known to be stored")
    assert await rejected.numbers(log) == [1]
    async with ingester(settings):
        await until(lambda: pages.events(log, EVERYTHING, limit=10))
        done = await run("retry", "1", "--with", "-", given=b"{}")
    assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
    assert await rejected.numbers(log) == []
    assert len(await pages.events(log, EVERYTHING, limit=10)) == 1


async def test_a_message_whose_retry_nats_loses_stays_rejected_and_can_be_retried_again(
    settings: Settings, log: Log, client: Client, subject_prefix: str, run: Shell
) -> None:
    async with ingester(settings):
        await client.jetstream().publish(f"{subject_prefix}.user.created", b"no json")
        await until(lambda: _has(log, 1))
    await run("retry", "1")
    await client.jetstream().purge_stream(settings.stream)
    assert await rejected.numbers(log) == [1]
    async with ingester(settings):
        done = await run("retry", "1")
    assert done.lines[-1] == "0 stored, 1 rejected again, 0 not sent"
    assert await rejected.numbers(log) == [2]


async def test_while_no_ingester_is_at_work_a_retry_waits_in_nats_and_is_not_reported_as_stored(
    settings: Settings, log: Log, client: Client, subject_prefix: str, run: Shell
) -> None:
    await log.rejected.insert_one(_row(f"{subject_prefix}.user.created"))
    done = await run("retry", "1")
    assert done.code == 1
    assert done.lines[0] == "0 stored, 0 rejected again, 0 not sent"
    assert done.lines[1].startswith("1 sent, but no ingester has answered yet")
    assert await rejected.numbers(log) == [1]
    assert (await client.jetstream().stream_info(settings.stream)).state.messages == 1
