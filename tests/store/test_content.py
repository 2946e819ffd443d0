"""Content: whatever is stored is read back unchanged."""

from typing import Any

import orjson
import pytest

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.values.documents import plain
from tests.store.support.appender import Appender, Clock, event, text


def nested(depth: int, inner: object, *, lists: bool) -> object:
    for _ in range(depth):
        inner = [inner] if lists else {"x": inner}
    return inner


HOSTILE: dict[str, object] = {
    "operators": {"$set": {"a": 1}, "$where": "sleep(1000)", "$": None, "$$NOW": "$$ROOT", "$gt": ""},
    "dotted keys": {"a.b": 1, ".": {".": 2}, "a": {"b": 3}, "..": [], "a.0": 1},
    "empty keys": {"": {"": {"": None}}},
    "reference": {"$ref": "users", "$id": 1},
    "reference to a database": [
        {"$ref": "users", "$id": {"$ref": "x", "$id": None}, "$db": "admin", "more": {"$id": 2}}
    ],
    "broken references": [{"$ref": 5, "$id": 1}, {"$ref": "x"}, {"$id": 1}, {"$ref": "x", "$id": 1, "$db": 7}],
    "extended JSON": {
        "$oid": "507f1f77bcf86cd799439011",
        "d": {"$date": 0},
        "l": {"$numberLong": "1"},
        "u": {"$uuid": "x"},
    },
    "our own keys": {"_id": 1, "expireAt": "2000-01-01", "version": -1, "source": None},
    "Python's keys": {"__class__": 1, "self": 2, "__proto__": {"x": 1}, "collection": 3},
    "unicode": {"ключ": "значение", "🦉✓": "\U0010ffff\u200b\ufeff", "e\u0301": "\u00e9", "\x01\x7f": "\x00\x1f\u2028"},
    "numbers": [0, -0.0, 0.1, 1e308, 5e-324, 1.0, 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)],
    "words": [None, True, False, "", "null", "NaN"],
    "deep objects": nested(99, 1, lists=False),
    "deep lists": nested(99, 1, lists=True),
    "long list": [n % 10 for n in range(300_000)],
    "long text": "ü" * 500_000,
    "many keys": {str(n): n for n in range(60_000)},
    "bare number": 7,
    "bare text": "$data",
}


async def test_whatever_is_sent_is_returned_unchanged(log: Log, appender: Appender) -> None:
    raws = {name: orjson.dumps(value) for name, value in HOSTILE.items()}
    assert max(map(len, raws.values())) <= 1024 * 1024
    small = {name for name, raw in raws.items() if len(raw) < 10_000}
    for name, raw in raws.items():
        more: dict[str, Any] = {"metadata": {name: orjson.loads(raw)}, "extensions": {"$x": orjson.loads(raw)}}
        await appender.store(event(id=name, data=orjson.loads(raw), at=1, **(more if name in small else {})))
    for name, value in HOSTILE.items():
        found = await pages.event(log, name)
        assert found is not None
        assert text(found["data"]) == text(value), name
        if name in small:
            assert text(found["metadata"]) == text({name: value}), name
            assert text(found["extensions"]) == text({"$x": value}), name


async def test_content_from_the_log_is_recognized_when_it_is_sent_again(log: Log, appender: Appender) -> None:
    messages = [event(id=name, at=1, data=value) for name, value in HOSTILE.items() if len(text(value)) < 10_000]
    await appender.store(*messages)
    stored = await appender.store(*messages)
    assert (stored.duplicates, stored.codes) == (len(messages), {})


async def test_times_keep_their_microseconds(log: Log, appender: Appender, clock: Clock) -> None:
    clock.now += 123_457
    times = [0, 1, -1, 1_795_417_200_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999]
    await appender.store(*(event(at=time) for time in times))
    found = await pages.events(log, EVERYTHING, limit=10)
    assert [e["timestamp"] for e in found] == times
    assert {e["recordedAt"] for e in found} == {clock.now}


async def test_names_may_be_any_text(log: Log, appender: Appender) -> None:
    names = ["$where", "a.b", "", "x\ny", "🦉", "x" * 1024, "*", "\x00"]
    for name in names:
        await appender.store(
            event("t", id=f"id {name}", of=(name, name), userId=name, correlationId=name, causationId=name)
        )
    for position, name in enumerate(names, 1):
        found = await pages.event(log, f"id {name}")
        assert found is not None
        assert (found["_id"], found["aggregateType"], found["aggregateId"], found["version"]) == (
            position,
            name,
            name,
            1,
        )


def test_only_what_json_cannot_express_is_refused() -> None:
    assert orjson.loads(orjson.dumps({"a": 1}, default=plain)) == {"a": 1}
    with pytest.raises(TypeError):
        orjson.dumps(object(), default=plain)
