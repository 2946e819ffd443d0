"""A MongoDB that no log can use, or whose address cannot be read, is refused with the reason."""

from collections.abc import Iterator

import pytest

from eventscope.dev.servers import run_server
from eventscope.errors import CannotStart, Unavailable
from eventscope.store.events import pages
from eventscope.store.log import open_log, prepare, synchronise
from eventscope.store.mongo.driver import Driver, connect
from tests.store.support.appender import Appender, event
from tests.support.unfit_mongods import Guarded, Standalone


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Standalone, tmp_path_factory.mktemp("standalone")) as server:
        yield server.url


@pytest.mark.processes
async def test_a_mongodb_that_is_not_a_replica_set_is_refused_with_the_reason(standalone: str, driver: Driver) -> None:
    async with open_log(standalone, "test", driver) as log:
        with pytest.raises(CannotStart, match="MongoDB is not a replica set, and transactions need one"):
            await prepare(log)
        assert await log.mongo.database.list_collection_names() == []


@pytest.mark.processes
async def test_a_transaction_on_a_standalone_mongodb_reports_that_a_replica_set_is_missing(
    standalone: str, driver: Driver
) -> None:
    async with open_log(standalone, "test", driver) as log:
        await synchronise(log)
        await log.meta.delete_many({})
        appender = await Appender.of(log)
        with pytest.raises(CannotStart, match="is not a replica set"):
            await appender.store(event())


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Guarded, tmp_path_factory.mktemp("guarded")) as server:
        yield server.url


@pytest.mark.processes
@pytest.mark.parametrize("user", ["", "ada:secret@"])
async def test_a_user_without_rights_gets_an_error_without_the_password(
    guarded_url: str, user: str, driver: Driver
) -> None:
    async with open_log(guarded_url.replace("//", f"//{user}", 1), "test", driver) as log:
        with pytest.raises(CannotStart, match="MongoDB refuses the user of EVENTSCOPE_MONGO_URL: ") as refused:
            await synchronise(log)
            await pages.first_position(log)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "foo", "http://127.0.0.1", "mongodb://", "mongodb://host:port/", "mongodb://a:b:c@host/"]
)
async def test_an_address_that_cannot_be_read_is_refused_at_the_start(url: str, driver: Driver) -> None:
    with pytest.raises(CannotStart, match="EVENTSCOPE_MONGO_URL cannot be used: "):
        async with connect(url, "test", driver):
            pass


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile", "tlsCRLFile"])
async def test_a_missing_file_in_the_address_is_refused_in_a_sentence(option: str, driver: Driver) -> None:
    with pytest.raises(CannotStart, match="EVENTSCOPE_MONGO_URL names a file that cannot be read: No such file"):
        async with connect(f"mongodb://127.0.0.1/?tls=true&{option}=/not/there", "test", driver):
            pass


async def test_a_fault_in_an_address_that_only_the_first_call_finds_makes_mongodb_unavailable(
    driver: Driver, swept: None
) -> None:
    async with open_log("mongodb+srv://me:hunter2@nohost.invalid/", "test", driver, question_seconds=5) as log:
        with pytest.raises(Unavailable, match=r"nohost\.invalid") as told:
            await synchronise(log)
        assert "hunter2" not in str(told.value)
