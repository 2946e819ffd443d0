"""Look into an event-sourced system: one GraphQL API over its log of events, past and live.

Services have one name here: `from eventscope import EventsService`. It is imported when it is first asked for, so that
the parts of the program, which live below this module, do not load what only services need.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventscope.client.service import EventsService

__all__ = ["EventsService"]

if not TYPE_CHECKING:  # to a type checker it would say that any name is here

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from eventscope.client.service import EventsService

        return EventsService
