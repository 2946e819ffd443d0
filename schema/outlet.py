"""Where the results of a subscription go as encoded text, so that equal subscriptions share the work."""

from dataclasses import dataclass
from typing import Any

from eventscope.subscriptions.live.sink import Sink


@dataclass(frozen=True, slots=True)
class Outlet:
    """The way to one subscriber, and the subscriber's request. `rights` is everything that decides what it may see."""

    sink: Sink
    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    rights: tuple[object, ...] = ()
