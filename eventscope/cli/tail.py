"""Runs `eventscope tail`: prints the newest events, then new ones as they are stored, one line each."""

import os
import sys
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import orjson

from eventscope.client.event import Event
from eventscope.client.filters import FilterArgs
from eventscope.client.service import EventsService
from eventscope.exporters import form
from eventscope.terminal import say, say_json

MOST_DATA: Final = 200  # characters of an event's data on a line for people


@dataclass(frozen=True, slots=True)
class TailOptions:
    """What to show: the `last` matching events, or those after the cursor `after`, then all matching new ones."""

    filter_args: FilterArgs
    last: int
    after: str | None
    as_json: bool


async def show_log(api_url: str, options: TailOptions) -> None:
    """Print each event once, in order, until cancelled or until nobody reads standard output.

    Raises what `EventsService` raises for reading and subscribing.
    """
    async with EventsService.connect(api_url=api_url) as service:
        past, after = ([], options.after) if options.after is not None else await _newest(service, options)
        events = service.subscribe_to_events(after=after, start="BEGINNING", **options.filter_args)
        try:
            for event in past:
                _show(event, options)
            async with aclosing(events):
                async for event in events:
                    _show(event, options)
        except BrokenPipeError:
            # the reader has gone; Python would complain when it flushes the rest
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _newest(service: EventsService, options: TailOptions) -> tuple[list[Event], str | None]:
    """The last matching events, oldest first, and the cursor of the end of the log, from which to follow."""
    end = await service.get_event_history(limit=1)
    if not end or options.last == 0:
        return [], end[0].cursor if end else None
    until_end = FilterArgs(to_position=end[0].position)
    events = await service.get_event_history(limit=options.last, and_=[options.filter_args, until_end])
    return events[::-1], end[0].cursor


def _show(event: Event, options: TailOptions) -> None:
    if options.as_json:
        say_json(form.line(event).rstrip())
    else:
        say(_line(event))


def _line(event: Event) -> str:
    aggregate = "" if event.aggregate_type is None else f" {_word(event.aggregate_type)}/{_word(event.aggregate_id)}"
    user = "" if event.user_id is None else f" by {_word(event.user_id)}"
    version = "" if event.version is None else f" v{event.version}"
    data = "" if event.data is None else f" {orjson.dumps(event.data).decode()}"
    data = data if len(data) <= MOST_DATA else data[:MOST_DATA] + "…"
    start = f"{event.position:>8} {event.timestamp:%Y-%m-%d %H:%M:%S}Z {_word(event.type)}"
    return f"{start}{aggregate}{version}{user}{data}"


def _word(text: str | None) -> str:
    """The text, quoted if it could pass for another part of the line."""
    text = text or ""
    return text if text.isprintable() and " " not in text else orjson.dumps(text).decode()
