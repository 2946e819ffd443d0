"""Claims among the newest events: those that differ from the version are counted, by aggregate type."""

from dataclasses import replace

from eventscope.store.log import Log
from eventscope.store.stats.claims import NEWEST, Claims, claims
from eventscope.store.values.moment import DAY
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event


async def test_an_empty_log_has_no_claims(log: Log) -> None:
    assert await claims(log) == Claims(0, {})


async def test_claims_that_differ_are_counted_by_aggregate_type_most_frequent_first(
    log: Log, appender: Appender
) -> None:
    for number in range(1, 4):
        await appender.store(
            event(of=("order", "1"), claimed=number),
            event(of=("user", "1"), claimed=number + 1),
            event(of=("vendor", "1"), claimed=1),
            event(of=("file", "1")),
            event(claimed=number),  # without an aggregate
            event(aggregateType="user", claimed=7),  # of an aggregate type without an id
        )
    found = await claims(log)
    assert (found.newest, list(found.differing.items())) == (18, [("user", 3), ("vendor", 2)])


async def test_only_the_newest_unexpired_events_are_examined(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"short": 1, "*": 0})
    await appender.store(event(of=("user", "1"), claimed=9))
    await appender.store(*(event("short", of=("vendor", "1"), claimed=n) for n in range(10, 20)))
    await appender.store(*(event() for _ in range(NEWEST - 10)))
    assert await claims(log) == Claims(NEWEST, {"vendor": 10})
    clock.now += 2 * DAY
    assert await claims(log) == Claims(NEWEST - 10, {})


async def test_a_version_that_is_not_a_claim_is_content(appender: Appender) -> None:
    """This concerns a CloudEvent, whose attribute `version` is an extension like others."""
    first, second = (event(id="1", at=NOON, extensions={"version": version}) for version in "12")
    assert (await appender.store(replace(first, claim=None))).events
    assert (await appender.store(replace(second, claim=None))).codes == {"ID_REUSED": 1}
    assert (await appender.store(second)).duplicates == 1
