"""What the doctor reports about NATS and the stream, from facts about them. No I/O."""

from dataclasses import replace
from typing import Any

import pytest

from eventscope.doctor import nats_checks
from eventscope.doctor.finding import Finding, Level
from eventscope.subscriptions.nats.diagnostics import MonitoringFacts
from tests.doctor.support.facts import BROKEN, DAY, GIB, NATS, NOTE, OK, STREAM, WARNING, of_nats, of_stream, worse


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
        ({"is_sealed": True}, "NATS subjects", BROKEN),
        ({"storage": "memory"}, "NATS storage", BROKEN),
        ({"replicas": 2}, "NATS replicas", WARNING),
        ({"absent_replicas": ("n2",)}, "NATS members", WARNING),
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
