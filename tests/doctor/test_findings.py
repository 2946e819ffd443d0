"""Every finding of the doctor has a level, what was found, and advice unless all is well. No I/O."""

from dataclasses import replace

import pytest

from eventscope.doctor import log_checks
from eventscope.doctor.finding import Finding, broken, exit_code, note, ok, warning
from eventscope.store.rejected.quota import Dropped
from eventscope.store.stats.claims import Claims
from eventscope.store.values.message import Lost
from eventscope.subscriptions.ingest.lag import Lag
from eventscope.subscriptions.nats.diagnostics import MonitoringFacts
from tests.doctor.support.facts import CHECKPOINT, HOUR, WARNING, WRONG, of_mongo, of_nats, of_stream, worse


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
        *of_stream(storage="memory", replicas=1, absent_replicas=("n2",), discard="old", max_age=HOUR, is_sealed=True),
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
