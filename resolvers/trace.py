"""Traces: the events of one conversation as a tree of causes, flattened into a list in depth-first order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from eventscope.errors import BadInput, PageTooLarge
from eventscope.resolvers import cursor, same_log
from eventscope.store.events import links
from eventscope.store.events.links import Cause
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument

MOST: Final = 10_000

CauseStatus = Literal["ROOT", "IN_TRACE", "OTHER_PAGE", "ELSEWHERE", "MISSING", "CYCLE"]


@dataclass(slots=True, repr=False, eq=False)  # no generated methods: these recurse, and the tree may be very deep
class CauseNode:
    """One event in the tree. It changes only while the tree is built."""

    event: EventDocument
    cause_status: CauseStatus
    parent: "CauseNode | None" = None
    cause_time: int | None = None
    effects: list["CauseNode"] = field(default_factory=list)
    depth: int = 0
    index: int = 0

    @property
    def parent_id(self) -> str | None:
        """The id of its cause, if that is in the trace."""
        return None if self.parent is None else self.parent.event["messageId"]

    @property
    def parent_index(self) -> int | None:
        """The index of its cause in the list, if that is in the trace."""
        return None if self.parent is None else self.parent.index

    @property
    def effect_count(self) -> int:
        """How many events of the trace it caused."""
        return len(self.effects)

    @property
    def cause_millis(self) -> float | None:
        """Milliseconds from its cause to it; None if the time of the cause is unknown."""
        return None if self.cause_time is None else (self.event["timestamp"] - self.cause_time) / 1000


@dataclass(frozen=True, slots=True)
class CauseTree:
    """Events of one conversation: all of them if `complete`; otherwise the rest begins after `end_cursor`."""

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
        """The events without a cause in the trace."""
        return [node for node in self.nodes if node.parent is None]

    @property
    def depth(self) -> int:
        """The length of the longest chain of causes."""
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
        """Milliseconds from the earliest to the latest timestamp."""
        return (self.ended_at - self.started_at) / 1000


def size(first: int | None) -> int:
    """How many events to return; BadInput or PageTooLarge when no trace has that size."""
    if first is not None and first < 1:
        raise BadInput(f"first is {first}, and there is no trace of that size: give 1 to {MOST}", "first")
    if first is not None and first > MOST:
        raise PageTooLarge("first", first, MOST)
    return MOST if first is None else first


async def trace(log: Log, correlation_id: str, first: int, after: str | None) -> CauseTree | None:
    """The first events of the conversation after the cursor, as a tree; None if there are none."""
    above = await same_log.position(log, "e", after, "after")
    page = await links.conversation(log, correlation_id, limit=first + 1, above=above)
    events = page[:first]
    if not events:
        return None
    ids = {event["messageId"] for event in events}
    outside = {id for event in events if (id := event.get("causationId")) is not None and id not in ids}
    outer_causes = await links.causes(log, sorted(outside))
    more = len(page) > first
    end = cursor.encode("e", events[-1]["_id"], tag=await same_log.tag(log)) if more else None
    return CauseTree(correlation_id, tree(events, outer_causes), above is None and not more, end)


def tree(events: Sequence[EventDocument], outer_causes: dict[str, Cause]) -> list[CauseNode]:
    """The events as a tree, depth first; roots and effects stay in the given order. `outer_causes` lie outside.

    Nothing here is recursive, since a chain of causes may be as long as the list.
    """
    nodes = {event["messageId"]: _node(event, outer_causes) for event in events}
    for node in nodes.values():
        cause = nodes.get(node.event.get("causationId", ""))
        if cause is not None:
            node.cause_status, node.parent, node.cause_time = "IN_TRACE", cause, cause.event["timestamp"]
    _cut_cycles(list(nodes.values()))
    for node in nodes.values():
        if node.parent is not None:
            node.parent.effects.append(node)
    return _depth_first([node for node in nodes.values() if node.parent is None])


def _node(event: EventDocument, outer_causes: dict[str, Cause]) -> CauseNode:
    id = event.get("causationId")
    if id is None:
        return CauseNode(event, "ROOT")
    cause = outer_causes.get(id)
    if cause is None:
        return CauseNode(event, "MISSING")
    same = cause.correlation_id == event.get("correlationId")
    return CauseNode(event, "OTHER_PAGE" if same else "ELSEWHERE", cause_time=cause.timestamp)


def _cut_cycles(nodes: Sequence[CauseNode]) -> None:
    # Every node has at most one cause, so a walk upwards ends at a root, at a node of an earlier walk, or in a cycle.
    # A cycle is cut at its first event in log order.
    walk_of: dict[int, int] = {}
    for number, start in enumerate(nodes):
        node: CauseNode | None = start
        while node is not None and id(node) not in walk_of:
            walk_of[id(node)] = number
            node = node.parent
        if node is not None and walk_of[id(node)] == number:
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
