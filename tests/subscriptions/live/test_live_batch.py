"""Live batches as text: they decode to what was encoded, in messages of any size that the server allows."""

from datetime import datetime
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal

KEY = b"k" * 32

json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
bodies = st.fixed_dictionaries(
    {"type": st.text(min_size=1), "timestamp": st.integers(0, 2**60)},
    optional={
        "data": json,
        "expireAt": st.datetimes(min_value=datetime(1970, 1, 1)).map(lambda t: t.replace(microsecond=0)),
    },
)


@given(st.integers(0, 2**60), st.lists(bodies, max_size=20), st.integers(400, 3000))
def test_the_messages_add_up_to_the_batch_except_events_that_are_too_large(
    previous: int, given: list[dict[str, Any]], most_bytes: int
) -> None:
    events = [cast("EventDocument", {"_id": previous + place, **body}) for place, body in enumerate(given, start=1)]
    messages = list(live_batch.encode(previous, events, most_bytes, Seal(KEY, 1)))
    batches = [live_batch.decode(message) for message in messages]
    assert all(len(message) <= most_bytes for message in messages)
    # what a receiver that fills holes from the log would have
    log = {event["_id"]: event for event in events}
    seen, received = previous, []
    for batch in batches:
        received += [log[position] for position in range(seen + 1, batch.previous + 1)]
        received += batch.events
        assert [event["_id"] for event in batch.events] == list(range(batch.previous + 1, batch.head + 1))
        seen = batch.head
    assert received == events
    assert seen == previous + len(events)


def test_a_heartbeat_is_a_batch_without_events() -> None:
    assert live_batch.decode(live_batch.heartbeat(7, Seal(KEY, 1))) == live_batch.LiveBatch(previous=7, head=7)


def test_each_message_has_the_name_of_the_log_if_there_is_one() -> None:
    event = cast("EventDocument", {"_id": 4, "type": "a"})
    seal = Seal(KEY, 1, 'ü"')
    for message in (*live_batch.encode(3, [event], 1000, seal), live_batch.heartbeat(4, seal)):
        assert live_batch.decode(message).log == 'ü"'
    assert live_batch.decode(live_batch.heartbeat(7, Seal(KEY, 1))).log is None
