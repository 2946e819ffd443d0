"""What commands have in common: their settings and logs, and how they run to their end or to a signal."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer
import uvloop

from eventscope import settings
from eventscope.processes.ending import run_until, run_until_signal, stop_request
from eventscope.settings import Settings
from eventscope.terminal import SafeFormatter

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what sees to signals itself."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def until_asked_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM or SIGINT, which cancel the work so that it can leave things in order."""
    run(run_until_signal(work))


def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Run what has an end; a signal that comes before cancels it, and the exit code says which, as in shells."""

    async def ended() -> tuple[T | None, int]:
        with stop_request() as stop:
            return await run_until(stop, work), stop.number

    result, number = run(ended())
    if result is None:
        raise typer.Exit(128 + number)
    return result


def chosen_settings() -> Settings:
    """Read the settings, and log as they say."""
    chosen = settings.load()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logging.getLevelName(chosen.log_level.upper())
    # what libraries tell when they are debugged has headers and addresses with all that is in them
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # each of its requests is worth a line to it
    logging.getLogger("eventscope").setLevel(level)
    return chosen
