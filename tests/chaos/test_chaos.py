"""A short chaos run with a fixed seed. `make chaos` does a long one."""

from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.run import run

pytestmark = pytest.mark.processes

STRIKES = len(FAULTS)
SEED = 3


@pytest.mark.timeout(300)
async def test_whatever_dies_freezes_or_fills_up_every_message_is_stored_and_delivered_once_and_in_order(
    tmp_path: Path,
) -> None:
    """Every kind of fault strikes at least once while half a thousand messages a second come in and go out."""
    done = await run(tmp_path, SEED, STRIKES)
    assert {one.name for one in done.strikes} == set(FAULTS)
    assert [str(finding) for finding in done.report.findings] == []
    assert str(done.report) == "lost 0, twice 0, out of order 0"
    assert done.report.events > 0 < done.report.rejected
    assert [str(finding) for finding in done.live.findings] == []
    assert str(done.live) == "lost 0, twice 0, out of order 0"
    assert done.live.events > done.report.events
    assert set(done.live.signals) == {"CaughtUp", "FellBehind", "Checkpoint"}
    assert done.connections > done.live.subscribers < done.stalls
