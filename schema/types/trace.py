"""Traces as clients see them: a tree of causes, listed so that it can be drawn without recursion."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import strawberry

from eventscope.resolvers.trace import CauseNode as Source
from eventscope.schema.context import Info
from eventscope.schema.types.event import Event
from eventscope.schema.types.scalars import Moment


@strawberry.enum(description="What is known about the cause of an event in a trace.")
class CauseStatus(Enum):
    ROOT = strawberry.enum_value("ROOT", description="The event names no cause.")
    IN_TRACE = strawberry.enum_value("IN_TRACE", description="The cause is in this trace, as the event's parent.")
    OTHER_PAGE = strawberry.enum_value(
        "OTHER_PAGE", description="The cause has the same correlation id, and is on another page of the trace."
    )
    ELSEWHERE = strawberry.enum_value("ELSEWHERE", description="The cause is in the log, with another correlation id.")
    MISSING = strawberry.enum_value(
        "MISSING",
        description="The cause is not in the log: it is a command, an event of another system, or has expired.",
    )
    CYCLE = strawberry.enum_value(
        "CYCLE", description="The cause is the event itself or one of its own effects; the cycle is cut here."
    )


@strawberry.type(description="One event and its place in a tree of causes.")
class TraceNode:
    event: Event = strawberry.field(description="The event.")
    index: int = strawberry.field(description="Its index in `Trace.nodes`.")
    depth: int = strawberry.field(description="The length of the chain of causes that leads to it in this trace.")
    parent_id: strawberry.ID | None = strawberry.field(
        description="The `id` of the event that caused it; null if that event is not in this trace."
    )
    parent_index: int | None = strawberry.field(description="The index in `Trace.nodes` of the event that caused it.")
    cause_status: CauseStatus = strawberry.field(description="What is known about its cause.")
    cause_millis: float | None = strawberry.field(
        description="Milliseconds from its cause to it, by their timestamps: negative if the publishers' "
        "clocks disagree. Null if the cause is not in the log."
    )
    effect_count: int = strawberry.field(description="How many events of this trace it caused directly.")

    source = Source

    @strawberry.field(
        description="The events of this trace that it caused, in log order.",
        graphql_type=list["TraceNode"],
    )
    def effects(self, info: Info) -> object:
        source: Any = self
        return _list(info, source.effects)


@strawberry.type(description="All events with one correlation id, as a tree of causes.")
class Trace:
    correlation_id: strawberry.ID = strawberry.field(description="The correlation id of its events.")
    event_count: int = strawberry.field(description="How many events this trace holds.")
    complete: bool = strawberry.field(description="Whether this trace holds all events with the correlation id.")
    end_cursor: str | None = strawberry.field(
        description="Pass it as `after` to get the events that did not fit; null if there are no more."
    )
    depth: int = strawberry.field(description="The length of the longest chain of causes.")
    started_at: Moment = strawberry.field(description="The earliest timestamp.")
    ended_at: Moment = strawberry.field(description="The latest timestamp.")
    duration_millis: float = strawberry.field(description="Milliseconds from the earliest to the latest timestamp.")

    @strawberry.field(
        description="The events, each followed by its effects: the tree from top to bottom, with `depth` for "
        "indentation. Effects of one cause, and roots, are in log order.",
        graphql_type=list[TraceNode],
    )
    def nodes(self, info: Info) -> object:
        source: Any = self
        return _list(info, source.nodes)

    @strawberry.field(
        description="The events whose cause is not in this trace, in log order.", graphql_type=list[TraceNode]
    )
    def roots(self, info: Info) -> object:
        source: Any = self
        return _list(info, source.roots)


def _list(info: Info, nodes: Any) -> Sequence[object]:
    info.context.charge(len(nodes))
    return list(nodes)
