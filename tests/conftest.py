"""One real MongoDB and one real NATS server for all tests; each test has a database and a stream of its own."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path

import nats
import pytest
import uvicorn
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from pymongo import MongoClient

from eventscope.app import build, services
from eventscope.background import beside
from eventscope.dev.servers import Mongod, Nats, run_server
from eventscope.http.uvicorn.listen import listen
from eventscope.server.api import config
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log, open_log, prepare
from eventscope.subscriptions.nats import stream
from tests.support import process_guard
from tests.support.isolation import forget_the_shell, in_folder
from tests.support.until import until as until_

forget_the_shell()  # before any module of tests is imported and reads exported variables

# an example that takes long on a busy machine is not a failure: nothing here has a deadline
hypothesis_settings.register_profile(
    "busy", hypothesis_settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("busy")

Until = Callable[..., Coroutine[None, None, object]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        process_guard.mark(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    process_guard.watch(item)
    try:
        return (yield)
    finally:
        process_guard.watch(None)


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with in_folder(tmp_path_factory.mktemp("elsewhere")):
        yield


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Mongod, tmp_path_factory.mktemp("mongod")) as server:
        yield server.url


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Nats, tmp_path_factory.mktemp("nats")) as server:
        yield server.url


@pytest.fixture(scope="session")
def _broom(mongo_url: str) -> Iterator[MongoClient[dict[str, object]]]:
    with MongoClient[dict[str, object]](mongo_url) as client:
        yield client


@pytest.fixture
def database_name(_broom: MongoClient[dict[str, object]]) -> Iterator[str]:
    """A database that nobody else uses, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    _broom.drop_database(name)


@pytest.fixture
async def stream_name(nats_url: str) -> AsyncIterator[str]:
    """The name of a stream that nobody else uses; the stream is deleted after the test, if the test made one."""
    name = f"TEST_{uuid.uuid4().hex[:12]}"
    yield name
    client = await nats.connect(nats_url)
    try:
        await client.jetstream().delete_stream(name)
    except NotFoundError:
        pass
    finally:
        await client.close()


@pytest.fixture
def subject_prefix() -> str:
    """The first word of subjects that nobody else uses."""
    return f"test{uuid.uuid4().hex[:12]}"


@pytest.fixture
def until() -> Until:
    """Waits for a condition and returns its value; TimeoutError if it never comes true."""
    return until_


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Returns whether a process still runs; one that is dead but not yet collected by its parent does not."""

    def look(pid: int) -> bool:
        try:
            os.kill(pid, 0)
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except ProcessLookupError:
            return False
        except FileNotFoundError:  # it ended between the two checks, or the system has no /proc
            return not Path("/proc/self").exists()

    return look


@pytest.fixture
def settings(mongo_url: str, nats_url: str, database_name: str, stream_name: str, subject_prefix: str) -> Settings:
    """Settings with a database, a stream and subjects that nobody else uses."""
    return Settings(
        mongo_url=mongo_url,
        mongo_database=database_name,
        nats_url=nats_url,
        stream=stream_name,
        subjects=(f"{subject_prefix}.>",),
    )


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    """The log of this test, with its indexes."""
    async with open_log(settings.mongo_url, settings.mongo_database) as log:
        await prepare(log)
        yield log


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A bare connection to NATS, as any service has one; the stream of this test exists."""
    client = await nats.connect(settings.nats_url)
    await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
    yield client
    await client.close()


@pytest.fixture
async def ingesting(settings: Settings, log: Log, client: Client) -> AsyncIterator[None]:
    """An ingester at work."""
    async with beside(ingest(settings)):
        yield


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[str]:
    """The address of an API, served by uvicorn as in production."""
    async with services(settings) as given:
        with listen("127.0.0.1", 0) as listener:
            server = uvicorn.Server(config(build(settings, given)))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await until_(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True
            await serving
