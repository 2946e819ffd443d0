"""What MongoDB reports about itself, by either driver."""

from eventscope.store.diagnostics import IndexFacts, own_indexes, server_facts
from eventscope.store.log import INDEXES, Log


async def test_a_server_that_is_set_up_correctly_reports_it(log: Log) -> None:
    found = await server_facts(log)
    assert found.version[0].isdigit()
    assert found.replica_set is not None
    assert len(found.members) == 1
    assert found.unhealthy == ()
    assert (found.write_concern["w"], found.write_concern["j"], found.read_concern) == ("majority", True, "majority")
    assert found.disk_total is not None and found.disk_used is not None
    assert 0 < found.disk_used < found.disk_total
    assert found.expires
    assert found.history_seconds == 0


async def test_the_clock_of_a_server_on_this_machine_is_ours(log: Log) -> None:
    found = await server_facts(log)
    assert abs(found.ahead) <= found.doubt + 0.001


async def test_every_required_index_exists_once_the_log_is_prepared(log: Log) -> None:
    found = await server_facts(log)
    assert set(own_indexes()) <= found.indexes
    assert len(own_indexes()) == sum(map(len, INDEXES.values()))
    ttl = {index.name: index.expire_after for index in found.indexes if index.expire_after is not None}
    assert ttl == {"events(expireAt)": 0, "rejected(expireAt)": 0}


async def test_an_index_is_described_by_the_properties_that_matter(log: Log) -> None:
    await log.events.drop_index("messageId_1")
    await log.events.create_index([("messageId", 1)], name="another_name")
    try:
        found = await server_facts(log)
        assert IndexFacts("events", ("messageId",), unique=False, partial=(), expire_after=None) in found.indexes
        assert [index.name for index in own_indexes() if index not in found.indexes] == ["events(messageId)"]
    finally:
        await log.events.drop_index("another_name")
