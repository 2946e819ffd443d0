"""Look into an event-sourced system: one GraphQL API over its log of events, past and live.

This module is the public Python API: what the methods of `EventsService` take, return and raise. All other modules are
private, and change without notice.

Names are imported when they are first used, so importing one part of the program does not load the client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from eventscope.client.event import Event, NewEvent, PublishedEvent
    from eventscope.client.filters import FilterArgs
    from eventscope.client.service import EventsService
    from eventscope.client.subscription import RetentionGap
    from eventscope.errors import (
        BadInput,
        EventscopeError,
        NotAnswered,
        OutcomeUnknown,
        Rejected,
        Unavailable,
        VersionConflict,
        WrongLog,
    )

__all__ = [
    "BadInput",
    "Event",
    "EventsService",
    "EventscopeError",
    "FilterArgs",
    "NewEvent",
    "NotAnswered",
    "OutcomeUnknown",
    "PublishedEvent",
    "Rejected",
    "RetentionGap",
    "Unavailable",
    "VersionConflict",
    "WrongLog",
]

_MODULES: Final = {
    "Event": "client.event",
    "EventsService": "client.service",
    "FilterArgs": "client.filters",
    "NewEvent": "client.event",
    "PublishedEvent": "client.event",
    "RetentionGap": "client.subscription",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker would then accept any name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # kept, so that the next use finds it without a call
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
        return value
