"""A replica set and a NATS cluster, for those who outgrow one machine: any one server may die."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from eventscope.store.log import Log, open_log, prepare
from tests.chaos.checker import check
from tests.chaos.cluster import clustered
from tests.chaos.stage import RECOVERY_SECONDS, head, ingester, publishing, settings_of, settled
from tests.chaos.stored_log import read_log
from tests.support.until import until

pytestmark = pytest.mark.processes

RATE = 300.0
SOME = 300  # events, after which everything works again


@pytest.mark.timeout(400)
async def test_the_primary_of_mongodb_and_the_leader_of_the_stream_may_die_under_load(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(clustered(tmp_path))
        settings = settings_of(cluster.mongo_url, cluster.nats_url)
        await cluster.make_stream(settings.stream, settings.subjects)
        log = await stack.enter_async_context(open_log(settings.mongo_url, settings.mongo_database))
        await prepare(log)
        ingesters = [ingester(f"ingester{number}", tmp_path, settings) for number in (1, 2)]
        for program in ingesters:
            stack.push_async_callback(program.close)
            await program.keep()
        load = await stack.enter_async_context(publishing(settings, seed=1, rate=RATE))
        await _grows(log)

        primary = await cluster.primary()
        await cluster.mongods[primary].kill()
        await _grows(log)
        assert await cluster.primary() != primary
        await cluster.mongods[primary].start()

        leader = await cluster.leader(settings.stream)
        await cluster.nats[leader].kill()
        await _grows(log)
        assert await cluster.leader(settings.stream) != leader
        await cluster.nats[leader].start()

        await _grows(log)
        await load.end()
        await settled(settings, log)
        for program in ingesters:
            await program.close()
        report = check(load.ledger.published(), await read_log(log))
    assert [str(finding) for finding in report.findings] == []
    assert report.lost_by_nats == 0
    assert str(report) == "lost 0, twice 0, out of order 0"


async def _grows(log: Log) -> None:
    async def reached() -> bool:
        return (await head(log) or 0) >= before + SOME

    before = await until(lambda: head(log), RECOVERY_SECONDS) or 0
    await until(reached, RECOVERY_SECONDS)
