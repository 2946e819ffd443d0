"""Pages: what of a list was asked for, after Relay's connection specification, always by key and never by offset."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from eventscope.errors import BadInput, PageTooLarge

DEFAULT: Final = 50
MOST: Final = 1000

Node = TypeVar("Node")


@dataclass(frozen=True, slots=True)
class Request:
    """So many of a list, from its start or (`backward`) its end, between two cursors."""

    size: int
    backward: bool
    after: str | None
    before: str | None


@dataclass(frozen=True, slots=True)
class PageEdge(Generic[Node]):
    """One entry and its place."""

    cursor: str
    node: Node


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are: `exact`, or only that there are `at_least` so many."""

    at_least: int
    exact: int | None


@dataclass(frozen=True, slots=True)
class PageEnds:
    """Where the page lies in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(frozen=True, slots=True)
class PageCoverage:
    """Whether all was looked at that the page could have held; if not, up to which position.

    It was for want of room, and not of time, if the page is `full`.
    """

    complete: bool
    scanned_to: int | None
    full: bool = False


WHOLE: Final = PageCoverage(complete=True, scanned_to=None)


@dataclass(frozen=True, slots=True)
class Stop:
    """Where looking for more was given up: what comes behind this place may be found by the next page."""

    position: int
    cursor: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Node]):
    """Part of a list. `total_count` counts the whole list, and only when it is called."""

    nodes: Sequence[Node]
    cursor: Callable[[Node], str]
    page_info: PageEnds
    total_count: Callable[[], Awaitable[Count]]
    coverage: PageCoverage = WHOLE

    @property
    def edges(self) -> list[PageEdge[Node]]:
        """The entries with their places."""
        return [PageEdge(self.cursor(node), node) for node in self.nodes]


def request(
    first: int | None, after: str | None, last: int | None = None, before: str | None = None, default: int = DEFAULT
) -> Request:
    """What was asked for; BadInput when it contradicts itself, PageTooLarge when it is more than a page may hold."""
    if first is not None and last is not None:
        raise BadInput("first and last were both given; a page is counted from one end", "last")
    for name, size in (("first", first), ("last", last)):
        if size is not None and size < 0:
            raise BadInput(f"{name} is {size}, and there is no page of that size", name)
        if size is not None and size > MOST:
            raise PageTooLarge(name, size, MOST)
    size = last if last is not None else first
    return Request(default if size is None else size, last is not None, after, before)


def page(
    asked: Request,
    found: Sequence[Node],
    cursor: Callable[[Node], str],
    total_count: Callable[[], Awaitable[Count]],
    stop: Stop | None = None,
) -> Page[Node]:
    """The page, from one entry more than it holds, in the order of reading; with `stop` from all that was found.

    That there are entries on the other side is inferred from the cursor given, as Relay allows.
    """
    more = len(found) > asked.size or stop is not None
    nodes = list(found[: asked.size])
    if asked.backward:
        nodes.reverse()
    first, last = (cursor(nodes[0]), cursor(nodes[-1])) if nodes else (None, None)
    if stop is not None:
        first, last = (stop.cursor, last) if asked.backward else (first, stop.cursor)
    info = PageEnds(
        has_next_page=asked.before is not None if asked.backward else more,
        has_previous_page=more if asked.backward else asked.after is not None,
        start_cursor=first,
        end_cursor=last,
    )
    return Page(
        nodes, cursor, info, total_count, WHOLE if stop is None else PageCoverage(False, stop.position, stop.full)
    )
