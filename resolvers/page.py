"""Pages of lists, according to Relay's connection specification: by key, never by offset."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from eventscope.errors import BadInput, PageTooLarge

DEFAULT: Final = 50
MOST: Final = 1000

Node = TypeVar("Node")


class PageRequest(NamedTuple):
    """A request for `size` entries of a list, from its start or (`backward`) its end, between two cursors."""

    size: int
    backward: bool
    after: str | None
    before: str | None


@dataclass(frozen=True, slots=True)
class PageEdge(Generic[Node]):
    """One entry and its cursor."""

    cursor: str
    node: Node


@dataclass(frozen=True, slots=True)
class Count:
    """How many entries there are: `exact`, or, if that is None, `at_least` this many."""

    at_least: int
    exact: int | None


class PageEnds(NamedTuple):
    """The ends of a page in its list."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(frozen=True, slots=True)
class PageCoverage:
    """Whether the search for the page is `complete`; if not, the last position it reached.

    If `full`, it ended early because the page was full; otherwise because time was up.
    """

    complete: bool
    scanned_to: int | None
    full: bool = False


WHOLE: Final = PageCoverage(complete=True, scanned_to=None)


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a search ended early: the next page continues after this place."""

    position: int
    cursor: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Node]):
    """Part of a list. `total_count` counts the whole list when it is called."""

    nodes: Sequence[Node]
    cursor: Callable[[Node], str]
    page_info: PageEnds
    total_count: Callable[[], Awaitable[Count]]
    coverage: PageCoverage = WHOLE

    @property
    def edges(self) -> list[PageEdge[Node]]:
        """The entries with their cursors."""
        return [PageEdge(self.cursor(node), node) for node in self.nodes]


def request(
    first: int | None, after: str | None, last: int | None = None, before: str | None = None, default: int = DEFAULT
) -> PageRequest:
    """The request in these arguments; BadInput when they contradict each other, PageTooLarge for too large a size."""
    if first is not None and last is not None:
        raise BadInput("first and last cannot both be given; a page starts at one end", "last")
    for name, size in (("first", first), ("last", last)):
        if size is not None and size < 0:
            raise BadInput(f"{name} is {size}, and there is no page of that size: give 0 to {MOST}", name)
        if size is not None and size > MOST:
            raise PageTooLarge(name, size, MOST)
    size = last if last is not None else first
    return PageRequest(default if size is None else size, last is not None, after, before)


def page(
    request: PageRequest,
    entries: Sequence[Node],
    cursor: Callable[[Node], str],
    total_count: Callable[[], Awaitable[Count]],
    stop: Stop | None = None,
) -> Page[Node]:
    """The page of `entries`, in reading order: one more than requested if there are more, or those up to `stop`.

    Entries on the other side are assumed if the request has a cursor there, as Relay allows.
    """
    more = len(entries) > request.size or stop is not None
    nodes = list(entries[: request.size])
    if request.backward:
        nodes.reverse()
    first, last = (cursor(nodes[0]), cursor(nodes[-1])) if nodes else (None, None)
    if stop is not None:
        first, last = (stop.cursor, last) if request.backward else (first, stop.cursor)
    info = PageEnds(
        has_next_page=request.before is not None if request.backward else more,
        has_previous_page=more if request.backward else request.after is not None,
        start_cursor=first,
        end_cursor=last,
    )
    return Page(
        nodes, cursor, info, total_count, WHOLE if stop is None else PageCoverage(False, stop.position, stop.full)
    )
