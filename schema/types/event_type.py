"""The catalogue as clients see it: event types, and the fields that their events have."""

from enum import Enum
from typing import Any

import strawberry

from eventscope.schema.context import Info
from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import BigInt, Moment
from eventscope.schema.types.stats import TypeCount
from eventscope.store.catalogue.fields import Fields
from eventscope.store.catalogue.types import EventType as Source


@strawberry.enum(description="What a JSON value can be.")
class JsonType(Enum):
    NULL = strawberry.enum_value("NULL", description="`null`; a field that is missing is not counted here.")
    BOOLEAN = strawberry.enum_value("BOOLEAN", description="`true` or `false`.")
    NUMBER = strawberry.enum_value("NUMBER", description="A number, whole or not.")
    STRING = strawberry.enum_value("STRING", description="A text; times are texts too.")
    OBJECT = strawberry.enum_value("OBJECT", description="An object, whose own fields have paths of their own.")
    ARRAY = strawberry.enum_value("ARRAY", description="A list.")


@strawberry.enum(description="What was new about an event.")
class DriftKind(Enum):
    NEW_FIELD = strawberry.enum_value("NEW_FIELD", description="A field that no event of the type had before.")
    NEW_TYPE = strawberry.enum_value("NEW_TYPE", description="A JSON type that the field never had before.")


@strawberry.type(description="How often a field had values of a JSON type.")
class JsonTypeCount:
    json_type: JsonType = strawberry.field(description="The JSON type.")
    count: BigInt = strawberry.field(description="In how many events.")


@strawberry.type(description="A field that events of a type have in their data.")
class FieldSeen:
    path: str = strawberry.field(
        description="Where it is in `data`, parted by dots: `address.city`. `[]` stands for the elements of a list, "
        "and is left out in the paths of filters. A `\\` stands before a dot, a `[` or a `\\` of a name. The "
        "empty path is `data` itself, where that is no object."
    )
    count: BigInt = strawberry.field(description="How many events had it.")
    json_types: list[JsonTypeCount] = strawberry.field(
        description="With which JSON types, the most frequent first. A list can hold several in one event."
    )
    first_position: BigInt = strawberry.field(description="The position of the first event that had it.")
    last_position: BigInt = strawberry.field(description="The position of the last one.")


@strawberry.type(description="That an event was the first of its type with a field, or with a JSON type of a field.")
class Drift:
    position: BigInt = strawberry.field(description="The position of that event.")
    at: Moment = strawberry.field(description="The timestamp of that event.")
    path: str = strawberry.field(description="The field.")
    kind: DriftKind = strawberry.field(description="Whether the field was new, or its JSON type.")
    json_type: JsonType = strawberry.field(description="The JSON type that it had.")


@strawberry.type(
    description="A type of event. Counts and times are of the events that are kept. Fields are of all events that were "
    "ever counted, each one looked at, including those that expired since; they are counted behind the log."
)
class EventType(Node):
    id: strawberry.ID = strawberry.field(description="Made of its name: `type:user.created`.")
    type: str = strawberry.field(description="Its name, like `user.created`.")
    count: BigInt = strawberry.field(description="How many events are of it.")
    first_seen_at: Moment = strawberry.field(description="The earliest timestamp.")
    last_seen_at: Moment = strawberry.field(description="The latest timestamp.")
    first_position: BigInt = strawberry.field(description="The position of the first event.")
    last_position: BigInt = strawberry.field(description="The position of the last event.")
    per_hour: float = strawberry.field(
        description="Events per hour, by their timestamps: over the last 24 full hours and the one that has begun."
    )
    aggregate_types: list[TypeCount] = strawberry.field(
        description="The aggregate types that it is seen with, the most frequent first, up to 100."
    )
    aggregate_types_truncated: bool = strawberry.field(
        description="Whether it is seen with more aggregate types than `aggregateTypes` has."
    )

    source = Source

    @strawberry.field(
        description="The fields of `data`, in the order in which they were first seen.", graphql_type=list[FieldSeen]
    )
    async def fields(self, info: Info) -> object:
        found = await _fields(self, info)
        info.context.spend(len(found.seen))
        return [
            FieldSeen(
                path=path,
                count=BigInt(seen.count),
                json_types=[
                    JsonTypeCount(json_type=JsonType(kind), count=BigInt(n))
                    for kind, n in sorted(seen.types.items(), key=lambda item: (-item[1], item[0]))
                ],
                first_position=BigInt(seen.first),
                last_position=BigInt(seen.last),
            )
            for path, seen in found.seen.items()
        ]

    @strawberry.field(
        description="Whether `data` has more than `fields` tells: over 200 fields, over 1000 in one event, deeper than "
        "8 levels, or paths of over 200 characters."
    )
    async def fields_truncated(self, info: Info) -> bool:
        return (await _fields(self, info)).truncated

    @strawberry.field(description="How many events `fields` is counted from.")
    async def fields_counted(self, info: Info) -> BigInt:
        return BigInt((await _fields(self, info)).events)

    @strawberry.field(description="The position up to which all events of the type are in `fields`.")
    async def fields_counted_to(self, info: Info) -> BigInt:
        return BigInt((await _fields(self, info)).to)

    @strawberry.field(description="What was new about events after the first one: the last 100 times.")
    async def drifts(self, info: Info) -> list[Drift]:
        found = await _fields(self, info)
        info.context.spend(len(found.drifts))
        return [
            Drift(
                position=BigInt(drift.position),
                at=Moment(drift.at),
                path=drift.path,
                kind=DriftKind.NEW_TYPE if drift.known else DriftKind.NEW_FIELD,
                json_type=JsonType(drift.json_type),
            )
            for drift in found.drifts
        ]

    @strawberry.field(description="How many drifts there were ever, of which `drifts` has the last ones.")
    async def drift_count(self, info: Info) -> int:
        return (await _fields(self, info)).drift_count


async def _fields(type: Any, info: Info) -> Fields:
    return await info.context.fields_loader.load(type.type)
