"""The catalogue as clients see it: event types, and the fields that their events have."""

from enum import Enum
from typing import Any

import strawberry

from eventscope.schema.context import Info
from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import BigInt, Moment
from eventscope.schema.types.stats import TypeCount
from eventscope.store.catalogue.fields import FieldCounts
from eventscope.store.catalogue.types import EventTypeSummary as Source


@strawberry.enum(description="The type of a JSON value.")
class JsonType(Enum):
    NULL = strawberry.enum_value("NULL", description="A `null`; missing fields are not counted.")
    BOOLEAN = strawberry.enum_value("BOOLEAN", description="`true` or `false`.")
    NUMBER = strawberry.enum_value("NUMBER", description="A number, integer or not.")
    STRING = strawberry.enum_value("STRING", description="A string; times are strings too.")
    OBJECT = strawberry.enum_value("OBJECT", description="An object; its own fields have their own paths.")
    ARRAY = strawberry.enum_value("ARRAY", description="A list.")


@strawberry.enum(description="The kind of change in the shape of events.")
class DriftKind(Enum):
    NEW_FIELD = strawberry.enum_value("NEW_FIELD", description="A field that no earlier event of the type had.")
    NEW_TYPE = strawberry.enum_value("NEW_TYPE", description="A JSON type that the field did not have before.")


@strawberry.type(description="In how many events a field had a value of this JSON type.")
class JsonTypeCount:
    json_type: JsonType = strawberry.field(description="The JSON type.")
    count: BigInt = strawberry.field(description="The number of events.")


@strawberry.type(description="A field found in the data of events of a type.")
class FieldSeen:
    path: str = strawberry.field(
        description="Its path in `data`, with dots between keys: `address.city`. `[]` stands for the elements "
        "of a list; leave it out in filter paths. A dot, `[` or `\\` within a key is preceded by a "
        "`\\`. The empty path is `data` itself, if that is not an object."
    )
    count: BigInt = strawberry.field(description="How many events had it.")
    json_types: list[JsonTypeCount] = strawberry.field(
        description="The JSON types of its values, most frequent first. In one event, a list can hold several."
    )
    first_position: BigInt = strawberry.field(description="The position of the first event that had it.")
    last_position: BigInt = strawberry.field(description="The position of the last one.")


@strawberry.type(
    description="An event that was the first of its type to have a field, or to have a field with this JSON type."
)
class Drift:
    position: BigInt = strawberry.field(description="The position of the event.")
    at: Moment = strawberry.field(description="The timestamp of the event.")
    path: str = strawberry.field(description="The path of the field.")
    kind: DriftKind = strawberry.field(description="Whether the field itself was new, or its JSON type.")
    json_type: JsonType = strawberry.field(description="The JSON type of the value.")


@strawberry.type(
    description="An event type. Counts and times cover the events that are kept. Fields cover every event "
    "of the type ever stored, including expired ones; they are counted shortly after events "
    "are stored."
)
class EventType(Node):
    id: strawberry.ID = strawberry.field(description="Built from its name: `type:user.created`.")
    type: str = strawberry.field(description="Its name, such as `user.created`.")
    count: BigInt = strawberry.field(description="How many events have this type.")
    first_seen_at: Moment = strawberry.field(description="The earliest timestamp.")
    last_seen_at: Moment = strawberry.field(description="The latest timestamp.")
    first_position: BigInt = strawberry.field(description="The position of the first event.")
    last_position: BigInt = strawberry.field(description="The position of the last event.")
    per_hour: float = strawberry.field(
        description="Events per hour by their timestamps, over the last 24 full hours and the current one."
    )
    aggregate_types: list[TypeCount] = strawberry.field(
        description="The aggregate types of its events, most frequent first: up to 100."
    )
    aggregate_types_truncated: bool = strawberry.field(
        description="Whether its events have more aggregate types than `aggregateTypes` lists."
    )

    source = Source

    @strawberry.field(
        description="The fields of `data`, in the order they first appeared.", graphql_type=list[FieldSeen]
    )
    async def fields(self, info: Info) -> object:
        counts = await _fields(self, info)
        info.context.charge(len(counts.occurrences))
        return [
            FieldSeen(
                path=path,
                count=BigInt(occurrence.count),
                json_types=[
                    JsonTypeCount(json_type=JsonType(kind), count=BigInt(n))
                    for kind, n in sorted(occurrence.types.items(), key=lambda item: (-item[1], item[0]))
                ],
                first_position=BigInt(occurrence.first),
                last_position=BigInt(occurrence.last),
            )
            for path, occurrence in counts.occurrences.items()
        ]

    @strawberry.field(
        description="Whether `data` has more fields than `fields` lists: over 200 fields, over 1000 in one event, "
        "more than 8 levels, or paths over 200 characters."
    )
    async def fields_truncated(self, info: Info) -> bool:
        return (await _fields(self, info)).truncated

    @strawberry.field(description="How many events `fields` covers.")
    async def fields_counted(self, info: Info) -> BigInt:
        return BigInt((await _fields(self, info)).events)

    @strawberry.field(description="The position up to which `fields` covers all events of the type.")
    async def fields_counted_to(self, info: Info) -> BigInt:
        return BigInt((await _fields(self, info)).to)

    @strawberry.field(description="Changes in the shape of events since the first one: the latest 100.")
    async def drifts(self, info: Info) -> list[Drift]:
        counts = await _fields(self, info)
        info.context.charge(len(counts.drifts))
        return [
            Drift(
                position=BigInt(drift.position),
                at=Moment(drift.at),
                path=drift.path,
                kind=DriftKind.NEW_TYPE if drift.known else DriftKind.NEW_FIELD,
                json_type=JsonType(drift.json_type),
            )
            for drift in counts.drifts
        ]

    @strawberry.field(description="How many drifts there were in total; `drifts` lists the latest ones.")
    async def drift_count(self, info: Info) -> int:
        return (await _fields(self, info)).drift_count


async def _fields(type: Any, info: Info) -> FieldCounts:
    return await info.context.fields_loader.load(type.type)
