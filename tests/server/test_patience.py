"""Patience with workers: one that is stuck is detected, and one that only waits for a slow machine is spared."""

from hypothesis import given
from hypothesis import strategies as st

from eventscope.server.patience import START_SECONDS, SUSPENDED_SECONDS, Patience


def test_patience_ends_when_a_worker_that_has_answered_is_silent_for_that_long() -> None:
    patience = Patience(10.0, since=0.0)
    patience.hear(100.0)
    for now in range(101, 111):
        patience.miss(float(now), 0.0)
        assert not patience.is_over(float(now))
    assert patience.is_over(110.1)


def test_a_worker_that_has_yet_to_answer_gets_the_time_that_a_start_takes() -> None:
    patience = Patience(1.0, since=0.0)
    patience.miss(START_SECONDS - 1, 0.0)
    assert not patience.is_over(START_SECONDS - 1)
    assert patience.is_over(START_SECONDS + 1)


def test_after_a_standstill_of_the_machine_patience_starts_again() -> None:
    patience = Patience(10.0, since=0.0)
    patience.hear(0.0)
    patience.miss(100_000.0, 99_999.0)
    assert not patience.is_over(100_009.0)
    assert patience.is_over(100_011.0)


@given(st.lists(st.floats(0.15, SUSPENDED_SECONDS), min_size=10, max_size=60))
def test_patience_never_ends_while_we_ourselves_wake_late(late: list[float]) -> None:
    patience, now = Patience(10.0, since=0.0), 0.0
    patience.hear(now)
    for one in late:
        now += 2.0 + one  # a probe and the time to wait for its answer
        patience.miss(now, one)
        assert not patience.is_over(now)
