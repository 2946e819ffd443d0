"""Servers that are down or of another kind: the doctor names each, and still examines the other one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from nats.aio.client import Client

from eventscope.dev.servers import Nats, run_server
from eventscope.doctor.examine import Options, examine
from eventscope.doctor.finding import Level
from eventscope.processes.ports import HOST, free
from eventscope.settings import Settings
from tests.doctor.support.examinations import HERE, found, worse
from tests.support.locked_nats import LockedNats
from tests.support.unfit_mongods import Standalone


class Plain(Nats):
    """A NATS without JetStream."""

    def command(self) -> list[str]:
        command = super().command()
        file = Path(command[-1])
        config = orjson.loads(file.read_bytes())
        del config["jetstream"]
        file.write_bytes(orjson.dumps(config))
        return command

    async def answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedNats]:
    """A NATS that is monitored, and writes to disk before it acknowledges."""

    def kind(folder: Path, port: int) -> LockedNats:
        return LockedNats(folder, port, {"http": f"{HOST}:{free()}", "jetstream": {"sync_interval": "always"}})

    with run_server(kind, tmp_path_factory.mktemp("watched")) as server:
        assert isinstance(server, LockedNats)
        yield server


@pytest.fixture
def monitor(watched: LockedNats) -> str:
    """Its monitoring address."""
    return f"http://{watched.more['http']}"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Plain, tmp_path_factory.mktemp("plain")) as server:
        yield server.url


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Standalone, tmp_path_factory.mktemp("standalone")) as server:
        yield server.url


async def test_an_unreachable_server_does_not_hide_findings_about_the_other(settings: Settings, client: Client) -> None:
    nowhere = f"{HOST}:{free()}"
    findings = await examine(settings.model_copy(update={"mongo_url": f"mongodb://ada:secret@{nowhere}/"}), HERE)
    assert worse(findings) == {"MongoDB": Level.BROKEN}
    assert "secret" not in str(findings)
    assert found(findings, "NATS storage")
    findings = await examine(settings.model_copy(update={"nats_url": f"nats://{nowhere}"}), HERE)
    assert worse(findings).pop("NATS") == Level.BROKEN
    assert found(findings, "MongoDB version")
    neither = await examine(Settings(), HERE)
    assert [(one.check, one.level) for one in neither] == [("MongoDB", Level.BROKEN), ("NATS", Level.BROKEN)]
    assert found(neither, "NATS").startswith("EVENTSCOPE_NATS_URL is not set")


async def test_a_user_that_mongodb_does_not_know_is_reported(settings: Settings, client: Client) -> None:
    stranger = settings.mongo_url.replace("mongodb://", "mongodb://ada:secret@")
    findings = await examine(settings.model_copy(update={"mongo_url": stranger}), HERE)
    assert worse(findings) == {"MongoDB": Level.BROKEN}
    assert "Authentication failed" in found(findings, "MongoDB")
    assert "secret" not in str(findings)


async def test_a_mongodb_that_is_not_a_replica_set_is_broken(
    settings: Settings, client: Client, standalone: str
) -> None:
    findings = await examine(settings.model_copy(update={"mongo_url": standalone}), HERE)
    assert worse(findings)["MongoDB replica set"] == Level.BROKEN


async def test_a_nats_without_jetstream_is_broken(settings: Settings, plain: str) -> None:
    findings = await examine(settings.model_copy(update={"nats_url": plain}), HERE)
    assert worse(findings)["JetStream"] == Level.BROKEN
    assert found(findings, "JetStream") == "JetStream is not available: it was started without -js"


async def test_the_monitoring_address_shows_whether_nats_writes_to_disk_first(
    settings: Settings, client: Client, watched: LockedNats, monitor: str
) -> None:
    findings = await examine(settings, Options(monitor=monitor, embedded=HERE.embedded))
    assert "NATS monitor" not in {one.check for one in findings}
    assert found(findings, "NATS sync") == f"{watched.identity} writes to disk before it acknowledges"


async def test_a_monitoring_address_of_this_machine_is_not_reached_through_a_proxy(
    settings: Settings, client: Client, monitor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{free()}")
    findings = await examine(settings, Options(monitor=monitor, embedded=HERE.embedded))
    assert "NATS monitor" not in {one.check for one in findings}


async def test_an_address_that_is_not_a_monitoring_address_is_reported(settings: Settings, client: Client) -> None:
    for url in (f"http://{HOST}:{free()}", "nonsense"):
        findings = await examine(settings, Options(monitor=url, embedded=HERE.embedded))
        assert worse(findings)["NATS monitor"] == Level.WARNING
        assert url in found(findings, "NATS monitor")
