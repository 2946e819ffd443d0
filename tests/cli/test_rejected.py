"""`eventscope rejected`: people list rejected messages, inspect each, and drop them."""

from collections.abc import Sequence

import pytest

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from tests.cli.support.rejected_commands import Shell, rejected_row

NO_CODE = "'INVALID_JSN' is not a rejection code; did you mean INVALID_JSON?"


async def test_list_shows_the_newest_first_with_code_subject_time_and_reason(
    run_rejected: Shell, rejected_messages: Sequence[bytes], subject_prefix: str
) -> None:
    done = await run_rejected("list")
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


async def test_list_can_be_filtered(run_rejected: Shell, rejected_messages: Sequence[bytes]) -> None:
    done = await run_rejected("list", "--code", "INVALID_JSON", "--limit", "1")
    assert [row.split()[0] for row in done.lines] == ["3", "1"]
    assert done.lines[-1] == "1 of 2 rejected messages with INVALID_JSON"


async def test_list_show_and_drop_need_no_nats(run_rejected: Shell, rejected_messages: Sequence[bytes]) -> None:
    assert (await run_rejected("list", nats=False)).code == 0
    assert (await run_rejected("show", "1", nats=False)).code == 0
    assert (await run_rejected("drop", "1", "--yes", nats=False)).code == 0


async def test_show_prints_everything_known_and_no_byte_can_control_the_terminal(
    run_rejected: Shell, rejected_messages: Sequence[bytes], settings: Settings
) -> None:
    text = (await run_rejected("show", "2")).out.decode()
    assert "code: VERSION_CONFLICT\n" in text
    assert f"place: {settings.stream} 2, stream of " in text
    assert "header Trace: t1\n" in text
    assert text.endswith("\n" + rejected_messages[1].decode() + "\n")
    binary = (await run_rejected("show", "3")).out
    assert b"\x1b" not in binary
    assert b"ff 00 1b 5b 32 4a" in binary


async def test_show_raw_prints_the_exact_bytes(run_rejected: Shell, rejected_messages: Sequence[bytes]) -> None:
    assert (await run_rejected("show", "3", "--raw")).out == rejected_messages[2]


async def test_drop_asks_for_confirmation_first(
    run_rejected: Shell, rejected_messages: Sequence[bytes], log: Log
) -> None:
    done = await run_rejected("drop", "--all", given=b"n\n")
    assert done.out == b"Drop 4 rejected messages for good? [y/N]: 0 dropped\n"
    assert await rejected.numbers(log) == [1, 2, 3, 4]
    done = await run_rejected("drop", "2", given=b"y\n")
    assert done.out.endswith(b"1 dropped\n")
    assert await rejected.numbers(log) == [1, 3, 4]
    done = await run_rejected("drop", "--all", "--code", "INVALID_JSON", "--yes")
    assert done.lines == ["2 dropped"]
    assert await rejected.numbers(log) == [4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry",), "give numbers, or --all, and not both"),
        (("drop", "1", "--all"), "give numbers, or --all, and not both"),
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
    run_rejected: Shell, log: Log, arguments: tuple[str, ...], said: str
) -> None:
    done = await run_rejected(*arguments)
    assert (done.code, done.err.splitlines()[-1]) == (2, f"eventscope: {said}")


async def test_a_code_may_be_given_in_lower_case(run_rejected: Shell, log: Log) -> None:
    await log.rejected.insert_one(rejected_row("x", "NUMBER_TOO_PRECISE"))
    done = await run_rejected("list", "--code", "number_too_precise")
    assert (done.code, done.lines[-1]) == (0, "1 of 1 rejected message with NUMBER_TOO_PRECISE")
    assert done.lines[0].split()[1] == "NUMBER_TOO_PRECISE"


async def test_a_code_of_an_older_version_is_known_while_messages_have_it(run_rejected: Shell, log: Log) -> None:
    await log.rejected.insert_one(rejected_row("", "TOO_OLD_TO_BE_KNOWN"))
    done = await run_rejected("list", "--code", "TOO_OLD_TO_BE_KNOWN")
    assert (done.code, done.lines[-1]) == (0, "1 of 1 rejected message with TOO_OLD_TO_BE_KNOWN")
    done = await run_rejected("drop", "--all", "--code", "TOO_OLD_TO_BE_KNOWN", given=b"y\n")
    assert done.out == b"Drop 1 rejected message for good? [y/N]: 1 dropped\n"
    done = await run_rejected("list", "--code", "TOO_OLD_TO_BE_KNOWN")
    assert done.code == 2
