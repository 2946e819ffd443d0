"""The side server answers while its process does other work, whose logging it leaves alone."""

import logging

import httpx
import pytest

from eventscope.errors import CannotStart
from eventscope.http.health import alive
from eventscope.metrics.side_server import serve_beside
from eventscope.processes.ports import HOST, free


async def test_the_start_and_end_of_a_side_server_are_not_logged_as_those_of_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    port = free()
    async with serve_beside(HOST, port, [alive()]), httpx.AsyncClient() as http:
        assert (await http.get(f"http://{HOST}:{port}/healthz")).json() == {"status": "ok"}
    messages = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    assert messages == [f"health and metrics are at http://{HOST}:{port}"]


async def test_a_port_in_use_is_named_with_its_setting() -> None:
    port = free()
    async with serve_beside(HOST, port, []):
        with pytest.raises(CannotStart, match=rf"cannot listen on {HOST}:{port} .*EVENTSCOPE_INGEST_PORT"):
            async with serve_beside(HOST, port, []):
                pass
