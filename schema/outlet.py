"""Where the results of a subscription go as ready text, so that those who ask the same share the work."""

from dataclasses import dataclass
from typing import Any

from eventscope.subscriptions.live.sink import Sink


@dataclass(frozen=True, slots=True)
class Outlet:
    """The way to one subscriber, and what it asked. `rights` is all that decides what it may see."""

    sink: Sink
    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    rights: tuple[object, ...] = ()
