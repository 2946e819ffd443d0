"""`make quick` starts no process, since a test that starts one without the mark fails."""

import subprocess
import sys

import pytest


def test_a_test_without_the_mark_cannot_start_a_process() -> None:
    with pytest.raises(pytest.fail.Exception, match="must be marked"):
        subprocess.run([sys.executable, "-c", ""], check=True)


@pytest.mark.processes
def test_a_test_with_the_mark_can() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def test_a_test_that_gets_a_server_from_a_fixture_is_marked(request: pytest.FixtureRequest, stream_name: str) -> None:
    assert request.node.get_closest_marker("processes")
