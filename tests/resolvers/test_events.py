"""Where replays and subscriptions begin, and how many events there are."""

from dataclasses import replace

import orjson
import pytest

from eventscope.errors import BadInput
from eventscope.resolvers import events, same_log
from eventscope.resolvers.cursor import encode
from eventscope.resolvers.page import Count, request
from eventscope.store.filters.filter import EVERYTHING, All, Among, Between, TypePatterns
from eventscope.store.log import Log
from eventscope.store.search_limits import SearchLimits
from tests.support.sample_log import fill


async def filled(log: Log, n: int) -> None:
    messages = [{"type": "a.b", "messageId": f"m{i}", "userId": f"u{i % 2}"} for i in range(n)]
    await fill(log, [orjson.dumps(message) for message in messages], {"*": 0})


async def test_a_subscription_begins_now_or_at_the_beginning_or_after_its_cursor(log: Log) -> None:
    await filled(log, 5)
    assert await events.start(log, None, from_beginning=False) == 5
    assert await events.start(log, None, from_beginning=True) == 0
    assert await events.start(log, encode("e", 3, tag=await same_log.tag(log)), from_beginning=False) == 3
    assert await events.start(log, encode("e", 3, 4, tag=await same_log.tag(log)), from_beginning=True) == 3


async def test_a_cursor_from_beyond_the_end_of_the_log_is_refused(log: Log) -> None:
    """It belongs to another log or a lost one: what it would wait for may never come."""
    await filled(log, 5)
    assert await events.start(log, encode("e", 5, tag=await same_log.tag(log)), from_beginning=False) == 5
    with pytest.raises(BadInput, match="beyond the end"):
        await events.start(log, encode("e", 6, tag=await same_log.tag(log)), from_beginning=False)


async def test_events_are_counted_exactly_as_far_as_the_rollups_or_the_limit_allow(log: Log) -> None:
    await filled(log, 20)
    log = replace(log, search=SearchLimits(most_counted=9))
    assert await events.count(log, EVERYTHING) == Count(20, 20)
    assert await events.count(log, TypePatterns(("a.*",))) == Count(20, 20)
    assert await events.count(log, All((TypePatterns(("a.*",)), TypePatterns(("*.b",))))) == Count(9, None)
    assert await events.count(log, Among("userId", ("u1",))) == Count(9, None)
    assert await events.count(log, All((Among("userId", ("u1",)), Between("position", 1, 18)))) == Count(9, 9)


async def test_a_replay_is_pinned_to_the_head_in_its_cursor(log: Log) -> None:
    await filled(log, 6)
    first = await events.replay(log, EVERYTHING, request(2, None), None)
    assert first.page_info.end_cursor == encode("e", 2, 6, tag=await same_log.tag(log))
    pinned = await events.replay(log, EVERYTHING, request(10, encode("e", 2, 4, tag=await same_log.tag(log))), None)
    assert [event["messageId"] for event in pinned.nodes] == ["m2", "m3"]
    assert not pinned.page_info.has_next_page
