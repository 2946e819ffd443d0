"""What commands share: loading settings, logging, and running to the end or to a signal."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer
import uvloop

from eventscope import settings
from eventscope.processes import ending
from eventscope.settings import Settings
from eventscope.terminal import SafeFormatter

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run work that handles signals itself."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM or SIGINT, which cancel the work so that it can clean up."""
    run(ending.run_until_signal(work))


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end and return the result; SIGTERM or SIGINT cancel the work and exit with 128 + its number."""

    async def ended() -> tuple[T | None, int]:
        with ending.stop_request() as stop:
            return await ending.run_until(stop, work), stop.number

    result, number = run(ended())
    if result is None:
        raise typer.Exit(128 + number)
    return result


def load_settings() -> Settings:
    """Read the settings, and set logging up as they say. CannotStart when a setting is wrong."""
    loaded = settings.load()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logging.getLevelName(loaded.log_level.upper())
    # debug logs of libraries contain headers and addresses with their secrets
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # httpx logs a line for each request
    logging.getLogger("eventscope").setLevel(level)
    return loaded
