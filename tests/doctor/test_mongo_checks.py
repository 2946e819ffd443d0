"""What the doctor reports about MongoDB, from facts about it. No I/O."""

from dataclasses import replace
from typing import Any

import pytest

from eventscope.doctor import mongo_checks
from eventscope.doctor.finding import Level
from eventscope.store.diagnostics import IndexFacts, own_indexes
from tests.doctor.support.facts import BROKEN, GIB, MONGO, NOTE, OK, WARNING, of_mongo, worse


@pytest.mark.parametrize(("version", "level"), [("5.0.30", WARNING), ("6.0.5", OK), ("8.2.0-rc1", OK)])
def test_for_an_old_mongodb_the_advice_is_to_upgrade(version: str, level: Level) -> None:
    assert mongo_checks.version(version).level == level


@pytest.mark.parametrize(
    ("members", "embedded", "level"), [(3, False, OK), (2, False, WARNING), (1, False, WARNING), (1, True, NOTE)]
)
def test_with_fewer_than_three_members_the_loss_of_a_disk_loses_events(
    members: int, embedded: bool, level: Level
) -> None:
    found = of_mongo(embedded, members=tuple("abc"[:members]))
    assert worse(found) == ({} if level == OK else {"MongoDB replica set": level})


def test_a_mongodb_that_is_not_a_replica_set_cannot_be_used() -> None:
    assert worse(of_mongo(replica_set=None, members=())) == {"MongoDB replica set": BROKEN}


def test_members_that_are_down_are_named_if_they_are_visible() -> None:
    assert worse(of_mongo(unhealthy=("b:27017",))) == {"MongoDB members": WARNING}
    assert "b:27017" in mongo_checks.members(replace(MONGO, unhealthy=("b:27017",)))[0].found
    assert worse(of_mongo(unhealthy=None)) == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"write_concern": {"w": 1, "j": True}},
        {"write_concern": {"w": "majority", "j": False}},
        {"write_concern": {"w": "majority"}},
        {"read_concern": "local"},
        {"read_concern": None},
    ],
)
def test_weak_write_or_read_concerns_are_found(changed: dict[str, Any]) -> None:
    assert worse(of_mongo(**changed)) == {"MongoDB write concern": BROKEN}


def test_every_missing_index_is_named() -> None:
    unique, *rest = own_indexes()
    finding = mongo_checks.indexes(frozenset(rest), own_indexes())
    assert (finding.level, finding.found) == (BROKEN, "events(messageId) is missing")
    assert "start `eventscope serve`" in finding.advice
    assert mongo_checks.indexes(frozenset([*rest, replace(unique, unique=False)]), own_indexes()).found == (
        "events(messageId) has other options"
    )
    assert mongo_checks.indexes(frozenset(), own_indexes()).level == WARNING
    more = IndexFacts("events", ("data.name",), unique=False, partial=(), expire_after=None)
    assert mongo_checks.indexes(frozenset([*own_indexes(), more]), own_indexes()).level == OK


def test_indexes_that_delete_events_at_the_wrong_time_are_found() -> None:
    ttl, of_rejected = [index for index in own_indexes() if index.expire_after is not None]
    others = frozenset(own_indexes()) - {ttl}
    late = mongo_checks.expiry(replace(MONGO, indexes=others | {replace(ttl, expire_after=60.0)}))
    assert (late.level, late.found) == (BROKEN, "MongoDB deletes by events(expireAt) after 60 s")
    foreign = IndexFacts("events", ("recordedAt",), unique=False, partial=(), expire_after=5.0)
    assert mongo_checks.expiry(replace(MONGO, indexes=frozenset([*own_indexes(), foreign]))).level == BROKEN
    for one in (ttl, of_rejected):
        missing = mongo_checks.expiry(replace(MONGO, indexes=frozenset(own_indexes()) - {one}))
        assert (missing.level, one.collection in missing.found) == (WARNING, True)
    assert mongo_checks.expiry(replace(MONGO, expires=False)).level == WARNING
    assert mongo_checks.expiry(replace(MONGO, expires=None)).level == OK


def test_the_index_of_an_older_version_deletes_the_same_events() -> None:
    ttl = next(one for one in own_indexes() if one.name == "events(expireAt)")
    former = replace(ttl, partial=())
    others = frozenset(own_indexes()) - {ttl}
    assert mongo_checks.expiry(replace(MONGO, indexes=others | {former})).level == OK
    assert mongo_checks.expiry(replace(MONGO, indexes=others | {ttl, former})).level == OK


@pytest.mark.parametrize(("seconds", "level"), [(0.0, OK), (300.0, NOTE), (None, NOTE)])
def test_history_that_makes_indexes_larger_is_noted(seconds: float | None, level: Level) -> None:
    assert mongo_checks.history(seconds).level == level


@pytest.mark.parametrize(("used", "level"), [(50, OK), (84, OK), (86, WARNING), (96, WARNING), (98, BROKEN)])
def test_a_disk_that_is_filling_up_is_reported_in_time(used: int, level: Level) -> None:
    assert mongo_checks.disk(replace(MONGO, disk_used=used * GIB)).level == level


def test_unknown_disk_space_is_noted() -> None:
    assert worse(of_mongo(disk_total=None, disk_used=None)) == {"MongoDB disk": NOTE}
