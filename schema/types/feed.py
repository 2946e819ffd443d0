"""What a live subscription delivers: events, and between them notes on the subscriber's position in the log."""

from typing import Annotated, TypeAlias, cast

import strawberry

from eventscope.resolvers import cursor
from eventscope.schema.types.event import Event
from eventscope.subscriptions.live import history
from eventscope.subscriptions.live.history import Item


@strawberry.type(description="Everything in the log has been delivered; live events follow.")
class CaughtUp:
    cursor: str = strawberry.field(description="Resume from here.")


@strawberry.type(
    description="Live delivery was interrupted, or the subscriber was too slow for it. Nothing is lost: "
    "events come from the log, from here until the next `CaughtUp`."
)
class FellBehind:
    cursor: str = strawberry.field(description="Resume from here.")


@strawberry.type(
    description="Events between two cursors have expired and cannot be delivered; some of them may have matched."
)
class RetentionGap:
    after: str = strawberry.field(description="The gap starts after this cursor.")
    through: str = strawberry.field(description="The gap ends at this cursor.")


@strawberry.type(description="No event has matched for a while; resume from here rather than from the last event.")
class Checkpoint:
    cursor: str = strawberry.field(description="Resume from here.")


EventFeed: TypeAlias = Annotated[
    Event | CaughtUp | FellBehind | RetentionGap | Checkpoint,
    strawberry.union("EventFeed", description="An event, or a signal about the subscription's position."),
]
Delivery: TypeAlias = Event | CaughtUp | FellBehind | RetentionGap | Checkpoint


def delivery(item: Item, tag: str | None) -> Delivery:
    """The item as a member of the union, with the tag in its cursor."""

    def cursor_at(position: int) -> str:
        return cursor.encode("e", position, tag=tag)

    match item:
        case history.LiveStart(position):
            return CaughtUp(cursor=cursor_at(position))
        case history.LiveBreak(position):
            return FellBehind(cursor=cursor_at(position))
        case history.Advance(position):
            return Checkpoint(cursor=cursor_at(position))
        case history.ExpiredRange(after, through):
            return RetentionGap(after=cursor_at(after), through=cursor_at(through))
        case _:
            return cast("Event", item)
