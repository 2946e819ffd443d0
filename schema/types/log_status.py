"""The state of the log as clients see it."""

from importlib.metadata import version

import strawberry

from eventscope.resolvers import status as status_resolver
from eventscope.resolvers.status import Status
from eventscope.schema import ids
from eventscope.schema.context import Info
from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import BigInt, Moment


@strawberry.type(description="How far the log lags behind the stream.")
class IngestLag:
    events: BigInt = strawberry.field(description="How many messages of the stream are not in the log yet.")
    seconds: float = strawberry.field(description="How many seconds the oldest of them has been waiting.")


@strawberry.type(description="How long events of some types are kept.")
class RetentionRule:
    event_types: str = strawberry.field(description="The event types the rule applies to, as a pattern.")
    days: float = strawberry.field(description="For how many days; 0 means forever.")


@strawberry.type(description="The versions of the running software.")
class Versions:
    eventscope: str = strawberry.field(description="The version of Eventscope.")
    mongodb: str = strawberry.field(description="The version of the MongoDB server.")
    nats: str = strawberry.field(description="The version of the NATS server.")


@strawberry.type(description="The live subscriptions of the API process that answered this query.")
class Subscriptions:
    count: int = strawberry.field(description="How many subscriptions follow the log.")
    cohorts: int = strawberry.field(
        description="How many different event subscriptions there are; identical ones share the work."
    )
    slowest_lag: BigInt = strawberry.field(description="How many positions the slowest one lags behind the log.")


@strawberry.type(description="The number of rejected messages with one code.")
class CodeCount:
    code: str = strawberry.field(description="The code, such as `INVALID_JSON` or `VERSION_CONFLICT`.")
    count: BigInt = strawberry.field(description="How many messages.")


@strawberry.type(
    description="Rejected messages that were dropped, oldest first, because together they exceeded "
    "`EVENTSCOPE_REJECTED_MAX_BYTES`. Expired ones are not counted here."
)
class RejectedDropped:
    count: BigInt = strawberry.field(description="How many were dropped in total.")
    codes: list[CodeCount] = strawberry.field(description="How many of each code, most frequent first.")
    since: Moment = strawberry.field(description="When the first one was dropped.")
    last: Moment = strawberry.field(description="When the latest one was dropped.")


@strawberry.type(description="Messages that JetStream removed from the stream before they could be read.")
class LostMessages:
    stream: str = strawberry.field(description="The stream that held them.")
    from_: BigInt = strawberry.field(name="from", description="The stream sequence of the first one.")
    to: BigInt = strawberry.field(description="The stream sequence of the last one.")
    at: Moment = strawberry.field(description="When the loss was noticed.")


@strawberry.type(description="The state of the log.")
class LogStatus(Node):
    id: strawberry.ID = strawberry.field(
        description="The id of the log: restoring a backup keeps it, and a new log gets a new one."
    )
    head: BigInt = strawberry.field(
        description="How many positions were given, which is the last one; 0 while the log is empty."
    )
    first_position: BigInt | None = strawberry.field(description="The first position that is still kept.")
    rejected: BigInt = strawberry.field(
        description="How many rejected messages are kept; `rejectedDropped` counts those dropped for lack of space."
    )
    source_resets: int = strawberry.field(
        description="How often the stream was recreated, or lost its end, and was read from its start again."
    )
    lost_messages: list[LostMessages] = strawberry.field(
        description="Messages that NATS acknowledged but that were removed from the stream before they could "
        "be read: by a limit of the stream, by age, or by hand. The latest 100 ranges, oldest "
        "first."
    )
    lost_message_count: BigInt = strawberry.field(description="How many messages were lost this way in total.")
    ingesting: bool = strawberry.field(description="Whether an ingester is running now.")
    retention: list[RetentionRule] = strawberry.field(description="How long events are kept, by type.")
    versions: Versions = strawberry.field(description="The versions of the running software.")

    @strawberry.field(description="The live subscriptions of the API process that answered this query.")
    def subscriptions(self, info: Info) -> Subscriptions:
        state = info.context.services.hub.state()
        return Subscriptions(count=state.count, cohorts=state.cohorts, slowest_lag=BigInt(state.slowest_lag_events))

    @strawberry.field(description="The rejected messages that were dropped for lack of space; null if there are none.")
    async def rejected_dropped(self, info: Info) -> RejectedDropped | None:
        dropped = await status_resolver.dropped(info.context.log)
        if dropped is None:
            return None
        return RejectedDropped(
            count=BigInt(dropped.count),
            codes=[CodeCount(code=code, count=BigInt(n)) for code, n in dropped.codes.items()],
            since=Moment(dropped.since),
            last=Moment(dropped.last),
        )

    @strawberry.field(description="How far the log lags behind the stream; null while NATS does not respond.")
    async def ingest_lag(self, info: Info) -> IngestLag | None:
        services = info.context.services
        lag = await services.lag() if services.nats_connected() else None  # otherwise it would wait for NATS
        return None if lag is None else IngestLag(events=BigInt(lag.events), seconds=lag.seconds)


def log_status(status: Status, info: Info) -> LogStatus:
    """The status from the store, with what the process itself knows."""
    services = info.context.services
    return LogStatus(
        id=strawberry.ID(ids.of_log(status.checkpoint.identity)),
        head=BigInt(status.head),
        first_position=None if status.first_position is None else BigInt(status.first_position),
        rejected=BigInt(status.rejected),
        source_resets=status.checkpoint.source_resets,
        lost_messages=[
            LostMessages(stream=one.stream, from_=BigInt(one.first), to=BigInt(one.last), at=Moment(one.at))
            for one in status.checkpoint.lost
        ],
        lost_message_count=BigInt(status.checkpoint.lost_count),
        ingesting=status.checkpoint.lease_held,
        retention=[RetentionRule(event_types=types, days=days) for types, days in services.retention.items()],
        versions=Versions(
            eventscope=version("eventscope"), mongodb=status.mongodb_version, nats=services.nats_version()
        ),
    )


LogStatus.source = LogStatus
