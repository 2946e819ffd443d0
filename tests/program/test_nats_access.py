"""NATS servers that require credentials, a key, a certificate or another domain: everything works with them."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.js.errors import APIError

from eventscope.cli.rejections import retry
from eventscope.client.service import EventsService
from eventscope.connections import access
from eventscope.doctor.examine import Options, examine
from eventscope.doctor.finding import Level
from eventscope.errors import BadInput, Unavailable
from eventscope.processes.ports import HOST, free
from eventscope.settings import NATS_ACCESS, PREFIX, Settings, variable
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.subscriptions.nats.stream import close, connect
from tests.support.api_server import running_api
from tests.support.ingesters import ingester
from tests.support.locked_nats import Certificates, Key, Operator, locked_nats
from tests.support.until import until

Demands = tuple[str, dict[str, str]]


@contextmanager
def edge_of_a_hub(folder: Path) -> Iterator[str]:
    """A server with a JetStream of its own, joined to the server whose JetStream is to be used."""
    port = free()
    hub = locked_nats(folder / "hub", jetstream={"domain": "hub"}, leafnodes={"host": HOST, "port": port})
    remotes = {"remotes": [{"url": f"nats://{HOST}:{port}"}]}
    with hub, locked_nats(folder / "edge", jetstream={"domain": "edge"}, leafnodes=remotes) as url:
        yield url


@pytest.fixture(scope="module", params=["credentials", "nkey", "certificate", "domain"])
def demands(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demands]:
    """A server, and the settings that it requires."""
    folder = tmp_path_factory.mktemp(request.param)
    config: dict[str, Any]
    match request.param:
        case "credentials":
            operator = Operator()
            (folder / "user.creds").write_text(operator.credentials())
            config, given = operator.config, {"nats_credentials_file": str(folder / "user.creds")}
        case "nkey":
            key = Key("user")
            (folder / "user.nk").write_text(f"{key.seed}\n")
            config = {"authorization": {"users": [{"nkey": key.public}]}}
            given = {"nats_nkey_file": str(folder / "user.nk")}
        case "certificate":
            certificates = Certificates(folder)
            config, (certificate, key_file) = certificates.config(verify=True), certificates.client()
            given = {"nats_ca_file": certificates.ca, "nats_certificate_file": certificate, "nats_key_file": key_file}
        case _:
            with edge_of_a_hub(folder) as url:
                yield url, {"nats_domain": "hub"}
            return
    with locked_nats(folder / "server", **config) as url:
        yield url, given


@pytest.fixture
async def theirs(settings: Settings, demands: Demands) -> Settings:
    url, given = demands
    chosen = settings.model_copy(update={"nats_url": url, **given})
    client = await connect(url, "test", access=access(chosen))

    async def there() -> bool:  # a leaf joins its hub a moment after both have started
        with suppress(nats.errors.Error, APIError):
            await client.jetstream().account_info()
            return True
        return False

    await until(there)
    await close(client)
    return chosen


async def test_events_get_all_the_way_through_such_a_server(theirs: Settings, log: Log, tmp_path: Path) -> None:
    files: Any = {name: getattr(theirs, name) for name in NATS_ACCESS if getattr(theirs, name)}
    async with (
        ingester(theirs),
        running_api(theirs) as api,
        EventsService.connect(
            theirs.nats_url, str(api.http.base_url), stream=theirs.stream, subjects=theirs.subjects, **files
        ) as service,
    ):
        assert (await service.publish_event("user.created", {"name": "Ada"})).position == 1

        # through the commands too: a rejected message is retried, a file is imported, the doctor finds the stream
        client = await connect(theirs.nats_url, "test", access=access(theirs))
        await client.jetstream().publish(theirs.subjects[0].replace(">", "user.created"), b"no json")
        await close(client)
        [message] = await until(lambda: messages.rejections(log, limit=1))
        assert await retry(theirs, [message.number], None) == 1  # it arrived, and is rejected again
        (tmp_path / "events.jsonl").write_text('{"type": "user.imported"}\n')
        await run_command(theirs, "import", str(tmp_path / "events.jsonl"))

        async def both() -> bool:
            return [one.type async for one in service.replay_events()] == ["user.created", "user.imported"]

        await until(both)

        findings = await examine(theirs, Options())
        assert {one.check: one.found for one in findings if one.level is Level.BROKEN} == {}
        assert "ingest lag" in {one.check for one in findings if one.level is Level.OK}


async def run_command(settings: Settings, *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for name in ("mongo_url", "mongo_database", "nats_url", "stream", *NATS_ACCESS):
        environment[variable(name)] = getattr(settings, name)
    environment[variable("subjects")] = ",".join(settings.subjects)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_a_service_without_the_required_credentials_gets_one_sentence(theirs: Settings) -> None:
    if theirs.nats_domain:
        return  # this server lets everybody in
    with pytest.raises(Unavailable, match=r"^(NATS at nats://\S+ refuses us |the certificate of NATS at)"):
        async with EventsService.connect(theirs.nats_url):
            pass


@pytest.mark.parametrize("field", [name for name in NATS_ACCESS if name not in ("nats_domain", "nats_key_file")])
async def test_a_missing_file_is_bad_input_of_the_service(field: str, tmp_path: Path) -> None:
    given: Any = {field: tmp_path / "none"}
    with pytest.raises(BadInput, match="No such file or directory") as raised:
        async with EventsService.connect("nats://127.0.0.1:1", **given):
            pass
    assert raised.value.field == field


def test_credentials_for_a_server_from_the_settings_are_not_used_for_an_embedded_one(tmp_path: Path) -> None:
    # an embedded server does not encrypt, so that with a CA it would be refused
    assert set(NATS_ACCESS) == {f"nats_{name}" for name in access(Settings()).__slots__}
