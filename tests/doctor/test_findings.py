"""How the doctor judges what it finds: plain functions of values."""

from dataclasses import replace
from typing import Any

import pytest

from eventscope.doctor import log_checks, mongo_checks, nats_checks
from eventscope.doctor.finding import Finding, Level, broken, exit_code, note, ok, warning
from eventscope.store.diagnostics import IndexFacts, ServerFacts, own_indexes
from eventscope.store.recount.difference import Difference
from eventscope.store.rejected.quota import Dropped
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.stats.claims import Claims
from eventscope.store.values.message import Lost
from eventscope.subscriptions.ingest.lag import Lag
from eventscope.subscriptions.nats.diagnostics import MonitoringFacts, NatsFacts, StreamFacts

OK, NOTE, WARNING, BROKEN = Level.OK, Level.NOTE, Level.WARNING, Level.BROKEN
HOUR = 3600.0
DAY = 24 * HOUR
GIB = 2**30

MONGO = ServerFacts(
    version="7.0.1",
    replica_set="rs0",
    members=("a:27017", "b:27017", "c:27017"),
    unhealthy=(),
    write_concern={"w": "majority", "j": True, "wtimeout": 10_000},
    read_concern="majority",
    ahead=0.01,
    doubt=0.001,
    disk_total=100 * GIB,
    disk_used=40 * GIB,
    indexes=frozenset(own_indexes()),
    expires=True,
    history_seconds=0.0,
)
STREAM = StreamFacts(
    subjects=("events.>",),
    storage="file",
    replicas=3,
    absent=(),
    retention="limits",
    discard="new",
    max_age=None,
    max_bytes=GIB,
    max_messages=None,
    max_per_subject=None,
    duplicate_window=120.0,
    sealed=False,
    messages=10_000,
    bytes=10_000_000,
    first=0,
    last=int(2 * DAY) * 1_000_000,
)
NATS = NatsFacts(
    version=(2, 15, 1),
    max_payload=8 * 2**20,
    jetstream=None,
    stream=STREAM,
    storage_limit=None,
    storage_used=0,
    ahead=-0.01,
    doubt=0.001,
)
WRONG = [
    Difference("population", {"aggregateType": f"type {n}\n", "expireAt": None}, {"n": 12}, {"n": n}) for n in range(12)
]
CHECKPOINT = LogCheckpoint(7, 0, None, 0, "somebody", 3, lease_held=True)


def of_mongo(embedded: bool = False, **changed: Any) -> list[Finding]:
    return mongo_checks.findings(replace(MONGO, **changed), embedded=embedded)


def of_nats(monitored: MonitoringFacts | None = None, embedded: bool = False, **changed: Any) -> list[Finding]:
    facts = replace(NATS, **changed)
    return nats_checks.findings(facts, "EVENTS", ["events.>"], DAY, monitored, embedded=embedded)


def of_stream(monitored: MonitoringFacts | None = None, embedded: bool = False, **changed: Any) -> list[Finding]:
    return of_nats(monitored, embedded, stream=replace(STREAM, **changed))


def worse(findings: list[Finding]) -> dict[str, Level]:
    """The findings that are not simply good."""
    return {finding.check: finding.level for finding in findings if finding.level != OK}


def test_if_all_is_well_there_is_no_advice() -> None:
    findings = [
        *of_mongo(),
        *of_nats(MonitoringFacts("n1", sync_always=True)),
        log_checks.ingester(CHECKPOINT),
        log_checks.lag(Lag(0, 0.0)),
        log_checks.source(CHECKPOINT),
        log_checks.lost(CHECKPOINT),
        log_checks.rejected({}),
        log_checks.dropped(None),
        log_checks.types(["user.created"]),
        log_checks.claims(Claims(1000, {})),
        log_checks.counts([]),
        log_checks.clocks({"MongoDB": (0.1, 0.01), "NATS": (-0.1, 0.01)}),
    ]
    assert worse(findings) == {}
    assert all(finding.found and not finding.advice for finding in findings)
    assert exit_code(findings) == 0
    assert len({finding.check for finding in findings}) == len(findings)


def test_a_count_of_one_is_in_the_singular() -> None:
    one = log_checks.lost(replace(CHECKPOINT, lost=(Lost("S", 1517, 1517, 0),), lost_count=1)).found
    assert one.startswith("1 message was removed from the stream before it was read: 1517 of S (")
    several = log_checks.lost(replace(CHECKPOINT, lost=(Lost("S", 1, 2, 0),), lost_count=2)).found
    assert several.startswith("2 messages were removed from the stream before they were read: 1 to 2 of S (")


def test_every_problem_comes_with_advice() -> None:
    findings = [
        *of_mongo(version="4.4.1", replica_set=None, unhealthy=("b",), write_concern={"w": 1}, indexes=frozenset()),
        *of_nats(version=(2, 9, 0), jetstream="off"),
        *of_stream(storage="memory", replicas=1, absent=("n2",), discard="old", max_age=HOUR, sealed=True),
        log_checks.ingester(replace(CHECKPOINT, lease_held=False)),
        log_checks.lag(Lag(5, 100.0)),
        log_checks.lost(replace(CHECKPOINT, lost=(Lost("S", 1, 2, 0),) * 7, lost_count=14)),
        log_checks.rejected({"INVALID_JSON": 1}),
        log_checks.dropped(Dropped({"INVALID_JSON": 1}, 0, 0)),
        log_checks.types([f"order.{n}.placed" for n in range(10)]),
        log_checks.claims(Claims(1000, {"user": 412})),
        log_checks.counts(WRONG),
        log_checks.clocks({"MongoDB": (5.0, 0.0)}),
        log_checks.clocks({"MongoDB": (61.0, 0.0)}),
    ]
    assert all(finding.advice for finding in findings if finding.level >= WARNING)


@pytest.mark.parametrize(
    ("findings", "code"),
    [([], 0), ([ok("", ""), note("", "")], 0), ([note("", ""), warning("", "", "")], 1), ([broken("", "", "")], 2)],
)
def test_the_exit_code_is_that_of_the_worst_finding(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code


def test_a_finding_can_be_read_by_programs() -> None:
    finding = warning("clocks", "apart", "set them")
    assert finding.data == {"check": "clocks", "level": "warning", "found": "apart", "advice": "set them"}


# MongoDB


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


@pytest.mark.parametrize(("seconds", "level"), [(0.0, OK), (300.0, NOTE), (None, NOTE)])
def test_history_that_makes_indexes_larger_is_noted(seconds: float | None, level: Level) -> None:
    assert mongo_checks.history(seconds).level == level


@pytest.mark.parametrize(("used", "level"), [(50, OK), (84, OK), (86, WARNING), (96, WARNING), (98, BROKEN)])
def test_a_disk_that_is_filling_up_is_reported_in_time(used: int, level: Level) -> None:
    assert mongo_checks.disk(replace(MONGO, disk_used=used * GIB)).level == level


def test_unknown_disk_space_is_noted() -> None:
    assert worse(of_mongo(disk_total=None, disk_used=None)) == {"MongoDB disk": NOTE}


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("00042", WARNING),
        ("6e8bc430-9c3a-11d9-9669-0800200c9a66", WARNING),
        ("01HV6Z3K9QJ2N", OK),
        ("5f2b8c9d0e1f2a3b4c5d6e7f", WARNING),
        ("v2", OK),
        ("created", OK),
        ("defacedfacadedeed", OK),
    ],
)
def test_types_with_ids_in_them_are_found(word: str, level: Level) -> None:
    assert log_checks.types([f"order{n}.{word}.placed" for n in range(10)]).level == level
    assert log_checks.types([f"order{n}.{word}.placed" for n in range(9)]).level == OK


def test_many_types_are_found() -> None:
    assert log_checks.types([f"a{n}" for n in range(1000)]).level == OK
    assert log_checks.types([f"a{n}" for n in range(1001)]).level == WARNING


# NATS


@pytest.mark.parametrize(("version", "level"), [((2, 12, 2), WARNING), ((2, 12, 3), OK), ((2, 15, 0), OK)])
def test_for_a_nats_that_can_lose_acknowledged_messages_the_advice_is_to_upgrade(
    version: tuple[int, int, int], level: Level
) -> None:
    assert nats_checks.version(version).level == level


def test_without_jetstream_no_further_checks_are_made() -> None:
    findings = of_nats(jetstream="it was started without -js", stream=None)
    assert worse(findings) == {"JetStream": BROKEN}
    assert not any("stream" in finding.check for finding in findings)


def test_a_missing_stream_is_broken() -> None:
    assert worse(of_nats(stream=None)) == {"NATS stream": BROKEN}


@pytest.mark.parametrize(("most", "level"), [(64 * 1024, NOTE), (2**20, OK), (8 * 2**20, OK), (16 * 2**20, NOTE)])
def test_the_maximum_size_of_messages_is_compared_with_what_the_log_accepts(most: int, level: Level) -> None:
    assert nats_checks.payload(most).level == level


@pytest.mark.parametrize(
    ("changed", "check", "level"),
    [
        ({"subjects": ("events.user.*", "orders.>")}, "NATS subjects", BROKEN),
        ({"sealed": True}, "NATS subjects", BROKEN),
        ({"storage": "memory"}, "NATS storage", BROKEN),
        ({"replicas": 2}, "NATS replicas", WARNING),
        ({"absent": ("n2",)}, "NATS members", WARNING),
        ({"retention": "workqueue"}, "NATS discard policy", BROKEN),
        ({"retention": "interest"}, "NATS discard policy", BROKEN),
        ({"max_per_subject": 5}, "NATS discard policy", BROKEN),
        ({"discard": "old"}, "NATS discard policy", WARNING),
        ({"max_age": DAY - 1}, "NATS max age", WARNING),
        ({"duplicate_window": 1.0}, "NATS duplicate window", NOTE),
    ],
)
def test_each_way_in_which_a_stream_can_lose_events_is_found(changed: dict[str, Any], check: str, level: Level) -> None:
    always = MonitoringFacts("n1", sync_always=True)
    assert worse(of_stream(always, **changed)) == {check: level}


def test_a_stream_that_keeps_messages_through_the_longest_outage_causes_no_warning() -> None:
    assert nats_checks.age(replace(STREAM, max_age=DAY), "EVENTS", DAY).level == OK
    assert nats_checks.age(replace(STREAM, max_age=DAY), "EVENTS", DAY + 1).level == WARNING


def test_a_size_limit_is_compared_with_the_outage_at_the_present_rate() -> None:
    # 10,000 messages of 10 MB in two days: a day brings 5,000 of 5 MB
    def at(**changed: Any) -> list[Finding]:
        return nats_checks.size(replace(STREAM, **changed), "EVENTS", DAY)

    [plenty] = at(max_bytes=GIB)
    assert (plenty.check, plenty.level) == ("NATS max bytes", OK)
    [scarce] = at(max_bytes=4_999_999)
    assert scarce.level == WARNING
    assert "that lasts 24.0 h" in scarce.found
    assert [finding.level for finding in at(max_bytes=5_000_000, max_messages=4_999)] == [OK, WARNING]
    assert [finding.level for finding in at(max_bytes=None)] == [OK]


@pytest.mark.parametrize("changed", [{"messages": 99}, {"last": 59_000_000}, {"first": None, "last": None}])
def test_from_few_messages_no_rate_is_computed(changed: dict[str, Any]) -> None:
    [finding] = nats_checks.size(replace(STREAM, **changed), "EVENTS", DAY)
    assert finding.level == NOTE
    assert "to show how long that lasts" in finding.found


@pytest.mark.parametrize(("limit", "used", "level"), [(None, 5, OK), (100, 80, OK), (100, 90, WARNING)])
def test_the_limit_of_the_account_is_checked(limit: int | None, used: int, level: Level) -> None:
    assert nats_checks.room(replace(NATS, storage_limit=limit, storage_used=used)).level == level


@pytest.mark.parametrize(
    ("monitored", "replicas", "level"),
    [
        (None, 1, NOTE),
        (MonitoringFacts("n1", sync_always=True), 1, OK),
        (MonitoringFacts("n1", sync_always=False), 1, WARNING),
        (MonitoringFacts("n1", sync_always=False), 3, NOTE),
    ],
)
def test_whether_acknowledged_messages_are_on_disk_is_reported_if_known(
    monitored: MonitoringFacts | None, replicas: int, level: Level
) -> None:
    assert nats_checks.sync(replace(STREAM, replicas=replicas), monitored).level == level


def test_an_embedded_server_need_not_have_replicas() -> None:
    always = MonitoringFacts("n1", sync_always=True)
    assert worse(of_stream(always, embedded=True, replicas=1)) == {"NATS replicas": NOTE}
    assert worse(of_stream(always, embedded=False, replicas=1)) == {"NATS replicas": WARNING}


# the log


def test_a_missing_ingester_is_reported() -> None:
    assert log_checks.ingester(replace(CHECKPOINT, lease_held=False)).level == BROKEN
    assert log_checks.ingester(replace(CHECKPOINT, lease_held=False, term=0)).level == WARNING


@pytest.mark.parametrize(
    ("lag", "level"), [(None, NOTE), (Lag(0, 0.0), OK), (Lag(500, 9.9), OK), (Lag(1, 10.1), WARNING)]
)
def test_a_log_that_lags_behind_is_found(lag: Lag | None, level: Level) -> None:
    assert log_checks.lag(lag).level == level


def test_a_reset_of_the_stream_is_noted() -> None:
    assert log_checks.source(replace(CHECKPOINT, source_resets=2)).level == NOTE


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({"user": 412}, "412 user events claim versions"),
        ({"user": 1}, "1 user event claims a version"),
        ({"user": 12, "order": 1}, "12 user events and 1 order event claim versions"),
        ({f"t{n}": 50 - n for n in range(12)}, "41 t9 events and 79 events of 2 other aggregate types claim versions"),
        ({"x" * 1024: 2}, f"2 {'x' * 60} events claim versions"),
    ],
)
def test_claims_that_differ_from_the_log_are_reported_by_aggregate_type(differing: dict[str, int], said: str) -> None:
    finding = log_checks.claims(Claims(1000, differing))
    assert finding.level == NOTE
    assert finding.found.startswith("of the newest 1,000 events, ")
    assert f"{said} that the log does not give: a publisher counts in its own memory" in finding.found


def test_rejected_messages_are_reported_by_code() -> None:
    finding = log_checks.rejected({"INVALID_JSON": 2, "ID_REUSED": 1})
    assert (finding.level, finding.found) == (WARNING, "INVALID_JSON 2, ID_REUSED 1")
    assert "eventscope rejected list" in finding.advice


@pytest.mark.parametrize(
    ("ahead", "level"),
    [
        ({}, NOTE),
        ({"NATS": None}, NOTE),
        ({"MongoDB": (0.9, 0.0), "NATS": None}, OK),
        ({"MongoDB": (1.1, 0.0)}, WARNING),
        ({"MongoDB": (-1.1, 0.0)}, WARNING),
        ({"MongoDB": (1.1, 0.2)}, OK),
        ({"MongoDB": (0.6, 0.0), "NATS": (-0.6, 0.0)}, WARNING),
    ],
)
def test_clocks_may_be_at_most_a_second_apart(ahead: dict[str, tuple[float, float] | None], level: Level) -> None:
    assert log_checks.clocks(ahead).level == level


def test_wrong_counts_are_named_with_the_command_that_repairs_them() -> None:
    finding = log_checks.counts(WRONG)
    assert finding.level == WARNING
    assert finding.found.startswith(
        r"aggregates of type 'type 0\n': n is 12, should be 0; aggregates of type 'type 1\n': "
    )
    assert finding.found.endswith("; and 2 more of a sample")
    assert "eventscope recount" in finding.advice


@pytest.mark.parametrize(("seconds", "level"), [(60.0, WARNING), (60.1, BROKEN), (-61.0, BROKEN), (86_400.0, BROKEN)])
def test_clocks_that_are_more_than_a_minute_apart_stop_housekeeping(seconds: float, level: Level) -> None:
    finding = log_checks.clocks({"MongoDB": (seconds, 0.0), "NATS": (0.0, 0.0)})
    assert finding.level == level
    assert ("are not removed" in finding.found) == (level == BROKEN)
