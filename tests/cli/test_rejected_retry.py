"""`eventscope rejected retry`: messages are sent again, as they were or corrected, and stay rejected until stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from eventscope import envelopes
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from tests.cli.support.rejected_commands import Shell, has_rejected, mend, rejected_row
from tests.support.ingesters import ingester
from tests.support.until import until


async def test_a_retried_message_is_stored_or_rejected_again_if_its_cause_remains(
    run_rejected: Shell, rejected_messages: Sequence[bytes], log: Log, client: Client, subject_prefix: str
) -> None:
    await mend(log, client, subject_prefix)
    done = await run_rejected("retry", "4", "2", "1")
    assert done.code == 1
    assert done.lines[0].startswith("1 was sent and is rejected again as 5: INVALID_JSON: ")
    # in order of arrival: version 2 before version 3
    assert done.lines[1:] == ["2 stored, 1 rejected again, 0 not sent"]
    assert [event.get("version") for event in await pages.events(log, EVERYTHING, limit=10)] == [1, 2, 3]
    assert await rejected.numbers(log) == [3, 5]


async def test_all_of_one_code_can_be_retried_at_once(
    run_rejected: Shell, rejected_messages: Sequence[bytes], log: Log, client: Client, subject_prefix: str
) -> None:
    await mend(log, client, subject_prefix)
    done = await run_rejected("retry", "--all", "--code", "VERSION_CONFLICT")
    assert (done.code, done.lines) == (0, ["2 stored, 0 rejected again, 0 not sent"])
    assert await rejected.numbers(log) == [1, 3]


async def test_what_is_rejected_again_is_not_retried_in_the_same_run(
    run_rejected: Shell, rejected_messages: Sequence[bytes], log: Log
) -> None:
    done = await run_rejected("retry", "--all")
    assert done.lines[-1] == "0 stored, 4 rejected again, 0 not sent"
    assert await rejected.numbers(log) == [5, 6, 7, 8]


@pytest.mark.parametrize("more", [(), ("--with", "-")])
async def test_a_message_that_cannot_be_sent_is_reported_and_stays(
    run_rejected: Shell, log: Log, more: tuple[str, ...]
) -> None:
    await log.rejected.insert_one(rejected_row("nobody.takes.this"))
    done = await run_rejected("retry", "1", *more, given=b"{}")
    assert (done.code, done.lines) == (
        1,
        ["1 stays: no stream takes nobody.takes.this any more", "0 stored, 0 rejected again, 1 not sent"],
    )
    assert await rejected.numbers(log) == [1]


async def test_a_message_whose_retry_nats_loses_stays_rejected_and_can_be_retried_again(
    settings: Settings, log: Log, client: Client, subject_prefix: str, run_rejected: Shell
) -> None:
    async with ingester(settings):
        await client.jetstream().publish(f"{subject_prefix}.user.created", b"no json")
        await until(lambda: has_rejected(log, 1))
    await run_rejected("retry", "1")
    await client.jetstream().purge_stream(settings.stream)
    assert await rejected.numbers(log) == [1]
    async with ingester(settings):
        done = await run_rejected("retry", "1")
    assert done.lines[-1] == "0 stored, 1 rejected again, 0 not sent"
    assert await rejected.numbers(log) == [2]


async def test_while_no_ingester_is_at_work_a_retry_waits_in_nats_and_is_not_reported_as_stored(
    settings: Settings, log: Log, client: Client, subject_prefix: str, run_rejected: Shell
) -> None:
    await log.rejected.insert_one(rejected_row(f"{subject_prefix}.user.created"))
    done = await run_rejected("retry", "1")
    assert done.code == 1
    assert done.lines[0] == "0 stored, 0 rejected again, 0 not sent"
    assert done.lines[1].startswith("1 sent, but no ingester has answered yet")
    assert await rejected.numbers(log) == [1]
    assert (await client.jetstream().stream_info(settings.stream)).state.messages == 1


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
        await until(lambda: has_rejected(log, 1))
        done = await Shell(settings)("retry", "1", "--with", str(mended))
    assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
    [stored] = await pages.events(log, EVERYTHING, limit=10)
    assert {name: stored.get(name) for name in event} == event
    assert stored["messageId"] == "sent-once"
    assert await rejected.numbers(log) == []


async def test_a_wrong_correction_leaves_the_rejected_message_there(
    run_rejected: Shell, rejected_messages: Sequence[bytes], log: Log
) -> None:
    done = await run_rejected("retry", "1", "--with", "-", given=b"still no json")
    assert done.code == 1
    assert done.lines[0].startswith("1 was sent and is rejected again as 5: INVALID_JSON: ")
    assert done.lines[-1] == "1 stays rejected, unchanged"
    kept = {one.number: one.raw for one in await rejected.rejections(log, limit=10)}
    assert (kept[1], kept[5]) == (rejected_messages[0], b"still no json")
    done = await run_rejected("retry", "1", "--with", "-", given=b"{}")
    assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
    assert await rejected.numbers(log) == [2, 3, 4, 5]


async def test_a_corrected_message_that_is_sent_repeatedly_is_stored_once(
    run_rejected: Shell, rejected_messages: Sequence[bytes], log: Log
) -> None:
    """This happens when the command dies after JetStream got the corrected message, or after it was stored."""
    kept = await log.rejected.find_one({"_id": 1})
    assert kept is not None
    for _ in range(3):
        done = await run_rejected("retry", "1", "--with", "-", given=b"{}")
        assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
        await log.rejected.insert_one(kept)
    assert len(await pages.events(log, EVERYTHING, limit=10)) == 1


async def test_a_corrected_message_that_waits_in_nats_leaves_the_rejected_one_there(
    log: Log, client: Client, settings: Settings, subject_prefix: str, run_rejected: Shell
) -> None:
    async with ingester(settings):
        await client.jetstream().publish(f"{subject_prefix}.user.created", b"no json")
        await until(lambda: has_rejected(log, 1))
    done = await run_rejected("retry", "1", "--with", "-", given=b"{}")
    assert done.code == 1
    assert done.lines[1].startswith("1 sent, but no ingester has answered yet")
    assert done.lines[-1].startswith("1 stays rejected until its corrected message is known to be stored")
    assert await rejected.numbers(log) == [1]
    async with ingester(settings):
        await until(lambda: pages.events(log, EVERYTHING, limit=10))
        done = await run_rejected("retry", "1", "--with", "-", given=b"{}")
    assert (done.code, done.lines) == (0, ["1 stored, 0 rejected again, 0 not sent"])
    assert await rejected.numbers(log) == []
    assert len(await pages.events(log, EVERYTHING, limit=10)) == 1
