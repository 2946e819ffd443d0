"""Traces: the events of one conversation as a tree of causes, laid out as a flat list in depth-first order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from eventscope.errors import BadInput, PageTooLarge
from eventscope.resolvers import cursor, own
from eventscope.store.events import links
from eventscope.store.events.links import Cause
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument

MOST: Final = 10_000

CauseStatus = Literal["ROOT", "IN_TRACE", "OTHER_PAGE", "ELSEWHERE", "MISSING", "CYCLE"]


@dataclass(slots=True, repr=False, eq=False)  # as deep as the tree, so nothing may walk it by itself
class CauseNode:
    """One event in its place. It is filled in while the tree is made, and never changed after."""

    event: EventDocument
    cause_status: CauseStatus
    parent: "CauseNode | None" = None
    cause_time: int | None = None
    effects: list["CauseNode"] = field(default_factory=list)
    depth: int = 0
    index: int = 0

    @property
    def parent_id(self) -> str | None:
        """The id of the event that caused it, if that is in the trace."""
        return None if self.parent is None else self.parent.event["messageId"]

    @property
    def parent_index(self) -> int | None:
        """Where in the list the event is that caused it."""
        return None if self.parent is None else self.parent.index

    @property
    def effect_count(self) -> int:
        """How many events of the trace it caused."""
        return len(self.effects)

    @property
    def cause_millis(self) -> float | None:
        """The time from its cause to it; None where the time of the cause is not known."""
        return None if self.cause_time is None else (self.event["timestamp"] - self.cause_time) / 1000


@dataclass(frozen=True, slots=True)
class CauseTree:
    """Events of one conversation. `complete` tells whether they are all of it, `end_cursor` where the rest begins."""

    correlation_id: str
    nodes: list[CauseNode]
    complete: bool
    end_cursor: str | None

    @property
    def event_count(self) -> int:
        """How many events there are."""
        return len(self.nodes)

    @property
    def roots(self) -> list[CauseNode]:
        """The events that have no cause in here."""
        return [node for node in self.nodes if node.parent is None]

    @property
    def depth(self) -> int:
        """How many causes the event has behind it that has the most."""
        return max(node.depth for node in self.nodes)

    @property
    def started_at(self) -> int:
        """The earliest timestamp."""
        return min(node.event["timestamp"] for node in self.nodes)

    @property
    def ended_at(self) -> int:
        """The latest timestamp."""
        return max(node.event["timestamp"] for node in self.nodes)

    @property
    def duration_millis(self) -> float:
        """The time from the earliest to the latest."""
        return (self.ended_at - self.started_at) / 1000


def size(first: int | None) -> int:
    """How many events are asked for; BadInput or PageTooLarge when there is no trace of that size."""
    if first is not None and first < 1:
        raise BadInput(f"first is {first}, and there is no trace of that size", "first")
    if first is not None and first > MOST:
        raise PageTooLarge("first", first, MOST)
    return MOST if first is None else first


async def trace(log: Log, correlation_id: str, first: int, after: str | None) -> CauseTree | None:
    """The first events of the conversation behind the cursor, as a tree; None when there are none."""
    above = await own.place(log, "e", after, "after")
    found = await links.conversation(log, correlation_id, limit=first + 1, above=above)
    events = found[:first]
    if not events:
        return None
    here = {event["messageId"] for event in events}
    outside = {id for event in events if (id := event.get("causationId")) is not None and id not in here}
    known = await links.causes(log, sorted(outside))
    more = len(found) > first
    end = cursor.encode("e", events[-1]["_id"], tag=await own.tag(log)) if more else None
    return CauseTree(correlation_id, tree(events, known), above is None and not more, end)


def tree(events: Sequence[EventDocument], known: dict[str, Cause]) -> list[CauseNode]:
    """The events as a tree, depth first, causes and effects each in the order given; `known` are causes from outside.

    Nothing here calls itself: a chain of causes may be as long as the list.
    """
    nodes = {event["messageId"]: _node(event, known) for event in events}
    for node in nodes.values():
        cause = nodes.get(node.event.get("causationId", ""))
        if cause is not None:
            node.cause_status, node.parent, node.cause_time = "IN_TRACE", cause, cause.event["timestamp"]
    _cut_cycles(list(nodes.values()))
    for node in nodes.values():
        if node.parent is not None:
            node.parent.effects.append(node)
    return _depth_first([node for node in nodes.values() if node.parent is None])


def _node(event: EventDocument, known: dict[str, Cause]) -> CauseNode:
    id = event.get("causationId")
    if id is None:
        return CauseNode(event, "ROOT")
    cause = known.get(id)
    if cause is None:
        return CauseNode(event, "MISSING")
    same = cause.correlation_id == event.get("correlationId")
    return CauseNode(event, "OTHER_PAGE" if same else "ELSEWHERE", cause_time=cause.timestamp)


def _cut_cycles(nodes: Sequence[CauseNode]) -> None:
    # Every node has one cause at most, so whoever walks up ends at a root, at what was walked before, or in a circle.
    # In the order of the log: the first event of a circle is the one it is cut at.
    walked: dict[int, int] = {}
    for number, start in enumerate(nodes):
        node: CauseNode | None = start
        while node is not None and id(node) not in walked:
            walked[id(node)] = number
            node = node.parent
        if node is not None and walked[id(node)] == number:
            first = min(_circle(node), key=lambda one: one.event["_id"])
            first.cause_status, first.parent = "CYCLE", None


def _circle(start: CauseNode) -> list[CauseNode]:
    circle = [start]
    while (node := circle[-1].parent) is not None and node is not start:
        circle.append(node)
    return circle


def _depth_first(roots: Sequence[CauseNode]) -> list[CauseNode]:
    ordered: list[CauseNode] = []
    waiting = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        node.index = len(ordered)
        node.depth = 0 if node.parent is None else node.parent.depth + 1
        ordered.append(node)
        waiting.extend(reversed(node.effects))
    return ordered
