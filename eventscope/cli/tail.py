"""`eventscope tail`: the newest events on the terminal, and those that happen from then on, each a line."""

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

MOST_DATA: Final = 200  # letters of an event's data on a line for people


@dataclass(frozen=True, slots=True)
class Tailing:
    """What is shown: the `last` events that are wanted, or those behind the cursor `after`, then all that follow."""

    wanted: FilterArgs
    last: int
    after: str | None
    as_json: bool


async def tail(api_url: str, asked: Tailing) -> None:
    """Show events until cancelled, or until nobody reads them any more; none is left out, none comes twice."""
    async with EventsService.connect(api_url=api_url) as service:
        shown, after = ([], asked.after) if asked.after is not None else await _newest(service, asked)
        events = service.subscribe_to_events(after=after, start="BEGINNING", **asked.wanted)
        try:
            for event in shown:
                _show(event, asked)
            async with aclosing(events):
                async for event in events:
                    _show(event, asked)
        except BrokenPipeError:
            # else Python would complain when it flushes what is left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _newest(service: EventsService, asked: Tailing) -> tuple[list[Event], str | None]:
    """The last ones that are wanted, the oldest first, and the cursor of the end of the log as it was then."""
    end = await service.get_event_history(limit=1)
    if not end or asked.last == 0:
        return [], end[0].cursor if end else None
    upto = FilterArgs(to_position=end[0].position)
    both = FilterArgs(and_=[asked.wanted, upto])
    return (await service.get_event_history(limit=asked.last, **both))[::-1], end[0].cursor


def _show(event: Event, asked: Tailing) -> None:
    if asked.as_json:
        say_json(form.line(event).rstrip())
    else:
        say(_line(event))


def _line(event: Event) -> str:
    of = "" if event.aggregate_type is None else f" {_plain(event.aggregate_type)}/{_plain(event.aggregate_id or '')}"
    who = "" if event.user_id is None else f" by {_plain(event.user_id)}"
    version = "" if event.version is None else f" v{event.version}"
    data = "" if event.data is None else f" {orjson.dumps(event.data).decode()}"
    cut = data if len(data) <= MOST_DATA else data[:MOST_DATA] + "…"
    return f"{event.position:>8} {event.timestamp:%Y-%m-%d %H:%M:%S}Z {_plain(event.type)}{of}{version}{who}{cut}"


def _plain(text: str) -> str:
    # what anybody wrote must not be able to pass for another part of the line
    return text if text.isprintable() and " " not in text else orjson.dumps(text).decode()
