"""The connection to NATS and the stream, on real servers."""

import asyncio
import logging
import signal
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from eventscope.dev.binaries import find
from eventscope.errors import CannotStart
from eventscope.processes.guard import guard_command
from eventscope.processes.ports import free, is_free
from eventscope.redact import redacted
from eventscope.subscriptions.nats.stream import connect, ensure
from tests.support.killable_servers import freeze


class BareServer:
    """A nats-server without JetStream that requires a password; it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free()
        self.start()

    @property
    def url(self) -> str:
        return f"nats://me:s3cret@127.0.0.1:{self.port}"

    def start(self) -> None:
        command: list[str | Path] = [
            find("nats-server"),
            "-a",
            "127.0.0.1",
            "-p",
            str(self.port),
            "--user",
            "me",
            "--pass",
            "s3cret",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(guard_command(command), stdin=subprocess.PIPE, stdout=log, stderr=log)

    def freeze(self) -> None:
        freeze(self.process.pid)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        with self.process:
            self.process.kill()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[BareServer]:
    server = BareServer(tmp_path)
    yield server
    server.end()


@pytest.fixture
async def js(nats_url: str) -> AsyncIterator[JetStreamContext]:
    async with await connect(nats_url, "test") as client:
        yield client.jetstream()


async def test_a_missing_stream_is_created_to_keep_everything(
    js: JetStreamContext, stream_name: str, subject_prefix: str
) -> None:
    info = await ensure(js, stream_name, [f"{subject_prefix}.>"])

    assert info.config.subjects == [f"{subject_prefix}.>"]
    assert info.config.storage == StorageType.FILE
    assert info.config.retention == RetentionPolicy.LIMITS
    assert info.config.discard == DiscardPolicy.NEW
    assert info.config.allow_direct is True
    assert info.config.max_age == 0


async def test_processes_that_create_a_stream_at_once_with_different_limits_all_get_it(
    js: JetStreamContext, stream_name: str, subject_prefix: str
) -> None:
    for turn in range(5):
        name, subject = f"{stream_name}_{turn}", f"{subject_prefix}.{turn}"
        made = await asyncio.gather(*(ensure(js, name, [subject], most) for most in (0, 1_000_000, 2_000_000)))
        assert {info.config.max_bytes for info in made} <= {-1, 1_000_000, 2_000_000}
        await js.delete_stream(name)


async def test_an_existing_stream_keeps_its_messages_its_limits_and_its_subjects(
    js: JetStreamContext, stream_name: str, subject_prefix: str
) -> None:
    theirs = await js.add_stream(
        StreamConfig(
            name=stream_name,
            subjects=[f"{subject_prefix}.theirs"],
            storage=StorageType.FILE,
            max_age=86_400,
            max_msgs=1000,
            duplicate_window=30,
            description="not ours",
            metadata={"owner": "them"},
        )
    )
    await js.publish(f"{subject_prefix}.theirs", b"{}")

    ours = await ensure(js, stream_name, [f"{subject_prefix}.ours.>"])

    assert ours.state.messages == 1
    assert ours.created == theirs.created
    assert ours.config.subjects == [f"{subject_prefix}.theirs", f"{subject_prefix}.ours.>"]
    assert ours.config.evolve(subjects=None) == theirs.config.evolve(subjects=None)


async def test_a_stream_that_already_accepts_the_subjects_is_left_alone(
    js: JetStreamContext, stream_name: str, subject_prefix: str
) -> None:
    await ensure(js, stream_name, [f"{subject_prefix}.>"])

    again = await ensure(js, stream_name, [f"{subject_prefix}.user.*", f"{subject_prefix}.>"])

    assert again.config.subjects == [f"{subject_prefix}.>"]


async def test_a_wider_pattern_replaces_a_narrower_one(
    js: JetStreamContext, stream_name: str, subject_prefix: str
) -> None:
    await ensure(js, stream_name, [f"{subject_prefix}.user.>"])

    wider = await ensure(js, stream_name, [f"{subject_prefix}.>"])

    assert wider.config.subjects == [f"{subject_prefix}.>"]


async def test_subjects_of_another_stream_cannot_be_captured(
    js: JetStreamContext, stream_name: str, subject_prefix: str
) -> None:
    await ensure(js, stream_name, [f"{subject_prefix}.>"])

    with pytest.raises(CannotStart, match=f"refuses the stream OTHER with {subject_prefix}.user.*: subjects overlap"):
        await ensure(js, "OTHER", [f"{subject_prefix}.user.*"])


@pytest.mark.processes
async def test_a_server_without_jetstream_is_distinguished_from_no_server(bare: BareServer) -> None:
    async with await connect(bare.url, "test") as client:
        with pytest.raises(CannotStart, match="NATS is there, but its JetStream is not"):
            await ensure(client.jetstream(), "EVENTS", ["events.>"])


@pytest.mark.processes
async def test_a_jetstream_that_does_not_answer_is_reported(
    bare: BareServer,
) -> None:
    async with await connect(bare.url, "test") as client:
        bare.freeze()
        with pytest.raises(CannotStart, match="JetStream did not answer when asked for the stream EVENTS"):
            await ensure(client.jetstream(timeout=0.2), "EVENTS", ["events.>"])
        bare.thaw()


async def test_waiting_for_a_server_can_be_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connect(f"nats://127.0.0.1:{free()}", "test", seconds=60)


async def test_a_missing_server_is_reported_with_the_address_but_without_the_password() -> None:
    with pytest.raises(CannotStart) as raised:
        await connect(f"nats://me:s3cret@127.0.0.1:{free()}", "test", seconds=0.6)

    assert "cannot be reached at nats://me:***@127.0.0.1:" in str(raised.value)
    assert "EVENTSCOPE_NATS_URL" in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.processes
async def test_a_wrong_password_is_not_retried(bare: BareServer) -> None:
    async with await connect(bare.url, "first"):
        pass  # it answers

    async with asyncio.timeout(30):
        with pytest.raises(CannotStart, match="Authorization Violation"):
            await connect(bare.url.replace("s3cret", "guess"), "test", seconds=60)


async def test_a_client_that_is_disconnected_without_a_reason_tries_again_for_the_reason() -> None:
    words = iter([b"", b"-ERR 'Authorization Violation'\r\n"])

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"auth_required": true, "max_payload": 1}\r\n')
        await reader.readuntil(b"PING\r\n")
        if word := next(words):
            writer.write(word)
        else:
            # as when a server closes with unread data: what it sent is lost
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(CannotStart, match="Authorization Violation"):
            await connect(f"nats://me:s3cret@127.0.0.1:{port}", "test", seconds=30)


@pytest.mark.parametrize("url", ["", "nats://", "nats://127.0.0.1:port"])
async def test_an_invalid_address_is_reported_as_such(url: str) -> None:
    with pytest.raises(CannotStart, match="NATS cannot be reached at"):
        await connect(url, "test", seconds=0.6)


@pytest.mark.processes
async def test_a_lasting_connection_is_restored_with_its_server(
    bare: BareServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with await connect(bare.url, "test") as client:
        bare.end()
        await until(lambda: not client.is_connected and is_free(bare.port))
        bare.start()
        await until(lambda: client.is_connected)
        await client.flush()

    assert "the connection test to NATS at nats://me:***@127.0.0.1" in caplog.text
    assert "is back" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://t0ken@host", "nats://***@host"),
        ("nats://me:p@ss@host, me:pass@other:1", "nats://me:***@host,me:***@other:1"),
    ],
)
def test_an_address_is_shown_without_its_secret(url: str, text: str) -> None:
    assert redacted(url) == text
