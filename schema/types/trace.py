"""Traces as clients see them: a tree of causes that can be drawn without recursion."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import strawberry

from eventscope.resolvers.trace import Node as Source
from eventscope.schema.context import Info
from eventscope.schema.types.event import Event
from eventscope.schema.types.scalars import Moment


@strawberry.enum(description="What is known of the cause of an event of a trace.")
class CauseStatus(Enum):
    ROOT = strawberry.enum_value("ROOT", description="It names no cause.")
    IN_TRACE = strawberry.enum_value("IN_TRACE", description="Its cause is in this trace, as its parent.")
    OTHER_PAGE = strawberry.enum_value(
        "OTHER_PAGE", description="Its cause is of this conversation, on another page of it."
    )
    ELSEWHERE = strawberry.enum_value("ELSEWHERE", description="Its cause is in the log, in another conversation.")
    MISSING = strawberry.enum_value(
        "MISSING", description="Its cause is not in the log: a command, an event of another system, or expired."
    )
    CYCLE = strawberry.enum_value(
        "CYCLE", description="Its cause is itself or one of its own effects: the circle is cut here."
    )


@strawberry.type(description="One event in its place in a tree of causes.")
class TraceNode:
    event: Event = strawberry.field(description="The event.")
    index: int = strawberry.field(description="Its place in `Trace.nodes`.")
    depth: int = strawberry.field(description="How many causes it has behind it in this trace.")
    parent_id: strawberry.ID | None = strawberry.field(
        description="The `id` of the event that caused it; null where that is not in this trace."
    )
    parent_index: int | None = strawberry.field(description="The place in `Trace.nodes` of the event that caused it.")
    cause_status: CauseStatus = strawberry.field(description="What is known of its cause.")
    cause_millis: float | None = strawberry.field(
        description="The milliseconds from its cause to it, by their timestamps: under 0 where the clocks of their "
        "publishers disagree. Null where the cause is not in the log."
    )
    effect_count: int = strawberry.field(description="How many events of this trace it caused itself.")

    source = Source

    @strawberry.field(
        description="The events of this trace that it caused, in the order of the log.",
        graphql_type=list["TraceNode"],
    )
    def effects(self, info: Info) -> object:
        source: Any = self
        return _listed(info, source.effects)


@strawberry.type(description="Everything with one correlation id, as a tree of causes.")
class Trace:
    correlation_id: strawberry.ID = strawberry.field(description="The conversation.")
    event_count: int = strawberry.field(description="How many events are in here.")
    complete: bool = strawberry.field(description="Whether these are all events of the conversation.")
    end_cursor: str | None = strawberry.field(
        description="Pass it as `after` to go on with what does not fit in here; null if nothing follows."
    )
    depth: int = strawberry.field(description="How many causes the event has behind it that has the most.")
    started_at: Moment = strawberry.field(description="The earliest timestamp.")
    ended_at: Moment = strawberry.field(description="The latest timestamp.")
    duration_millis: float = strawberry.field(description="The milliseconds from the earliest to the latest.")

    @strawberry.field(
        description="The events, each followed by its effects: with `depth` that is the tree, drawn from top to "
        "bottom. Effects of one cause, and roots, are in the order of the log.",
        graphql_type=list[TraceNode],
    )
    def nodes(self, info: Info) -> object:
        source: Any = self
        return _listed(info, source.nodes)

    @strawberry.field(
        description="The events without a cause in here, in the order of the log.", graphql_type=list[TraceNode]
    )
    def roots(self, info: Info) -> object:
        source: Any = self
        return _listed(info, source.roots)


def _listed(info: Info, nodes: Any) -> Sequence[object]:
    info.context.spend(len(nodes))
    return list(nodes)
