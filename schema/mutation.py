"""The mutations. They publish events to NATS, as any other publisher does."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import strawberry

from eventscope.errors import BadInput
from eventscope.schema.context import Info
from eventscope.schema.types.scalars import JSON, BigInt, Moment
from eventscope.store.values import moment
from eventscope.subscriptions.publish.outcome import StoredEvent

MOST_EVENTS = 100


@strawberry.input(description="An event to publish.")
class PublishEventInput:
    type: str = strawberry.field(description="What happened: words joined by dots, such as `user.created`.")
    data: JSON | None = strawberry.field(default=None, description="The content of the event.")
    message_id: strawberry.ID | None = strawberry.field(
        default=None, description="The event's id. Publishing the same id and content again stores the event once."
    )
    timestamp: Moment | None = strawberry.field(default=None, description="When it happened; defaults to now.")
    aggregate_type: str | None = strawberry.field(default=None, description="The kind of thing it happened to.")
    aggregate_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id of the thing it happened to, unique within its aggregate type."
    )
    expected_version: int | None = strawberry.field(
        default=None, description="The version the aggregate must have before this event; 0 if it must not exist yet."
    )
    user_id: strawberry.ID | None = strawberry.field(default=None, description="The id of the user who caused it.")
    correlation_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id of the conversation it belongs to."
    )
    causation_id: strawberry.ID | None = strawberry.field(
        default=None, description="The message id of the event or command that caused it."
    )
    metadata: JSON | None = strawberry.field(
        default=None, description="Context of the event: why, from where, with what."
    )


One: TypeAlias = Annotated[PublishEventInput, strawberry.argument(description="The event.")]
Several: TypeAlias = Annotated[
    list[PublishEventInput], strawberry.argument(description="The events to store, in this order: 1 to 100.")
]


@strawberry.type(description="A published event, now in the log.")
class PublishedEvent:
    message_id: strawberry.ID = strawberry.field(description="Its message id.")
    position: BigInt = strawberry.field(description="Its position in the log.")
    version: int | None = strawberry.field(description="Its version within its aggregate, if it has an aggregate.")


@strawberry.type(description="Publishes events. Replies once they are in the log.")
class Mutation:
    @strawberry.mutation(
        description="Publishes one event. Fails with `VERSION_CONFLICT` if its aggregate is not at the "
        "expected version, and with `REJECTED` if it cannot be stored."
    )
    async def publish_event(self, info: Info, input: One) -> PublishedEvent:
        [published] = await _publish(info, [input], together=False)
        return published

    @strawberry.mutation(description="Publishes several events: either all are stored, one after the other, or none.")
    async def publish_events(self, info: Info, input: Several) -> list[PublishedEvent]:
        if not 0 < len(input) <= MOST_EVENTS:
            raise BadInput(f"input has {len(input)} events; send 1 to {MOST_EVENTS}", "input")
        return await _publish(info, input, together=True)


async def _publish(info: Info, input: Sequence[PublishEventInput], *, together: bool) -> list[PublishedEvent]:
    for one in input:
        if one.expected_version is not None and one.expected_version < 0:
            raise BadInput(f"expectedVersion is {one.expected_version}; it must be 0 or more", "expectedVersion")
    published = await info.context.services.publisher.publish(
        [_message(one) for one in input], together=together, expected=[one.expected_version for one in input]
    )
    return [_published(one) for one in published]


def _message(input: PublishEventInput) -> dict[str, Any]:
    message = {
        "type": input.type,
        "data": input.data,
        "messageId": input.message_id,
        "timestamp": None if input.timestamp is None else moment.to_text(input.timestamp),
        "aggregateType": input.aggregate_type,
        "aggregateId": input.aggregate_id,
        "userId": input.user_id,
        "correlationId": input.correlation_id,
        "causationId": input.causation_id,
        "metadata": input.metadata,
    }
    return {name: value for name, value in message.items() if value is not None}


def _published(stored: StoredEvent) -> PublishedEvent:
    return PublishedEvent(message_id=strawberry.ID(stored.id), position=BigInt(stored.position), version=stored.version)
