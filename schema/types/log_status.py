"""How the log is doing, as clients see it."""

from importlib.metadata import version

import strawberry

from eventscope.resolvers import status as status_resolver
from eventscope.resolvers.status import Status
from eventscope.schema import ids
from eventscope.schema.context import Info
from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import BigInt, Moment


@strawberry.type(description="How far the log is behind what was published.")
class IngestLag:
    events: BigInt = strawberry.field(description="Messages that NATS has and the log has not.")
    seconds: float = strawberry.field(description="How long the oldest of them has been waiting.")


@strawberry.type(description="How long events are kept.")
class RetentionRule:
    event_types: str = strawberry.field(description="The pattern of types that the rule is for.")
    days: float = strawberry.field(description="For how many days; 0 is for ever.")


@strawberry.type(description="What runs here.")
class Versions:
    eventscope: str = strawberry.field(description="The version of Eventscope.")
    mongodb: str = strawberry.field(description="The version of the MongoDB server.")
    nats: str = strawberry.field(description="The version of the NATS server.")


@strawberry.type(description="What is followed live through the process that answers.")
class Subscriptions:
    count: int = strawberry.field(description="How many subscriptions follow the log.")
    cohorts: int = strawberry.field(
        description="How many different ones there are among those to events; who asks the same shares the work."
    )
    slowest_lag: BigInt = strawberry.field(description="How many positions of the log the slowest one is behind.")


@strawberry.type(description="How many rejected messages of a code there were.")
class CodeCount:
    code: str = strawberry.field(description="The code: `INVALID_JSON`, `VERSION_CONFLICT` …")
    count: BigInt = strawberry.field(description="How many messages.")


@strawberry.type(
    description="Rejected messages that were dropped, the oldest first, because all of them took more room than "
    "`EVENTSCOPE_REJECTED_MAX_BYTES` allows. Those that expired are not counted here."
)
class RejectedDropped:
    count: BigInt = strawberry.field(description="How many were ever dropped.")
    codes: list[CodeCount] = strawberry.field(description="How many of each code, the most frequent first.")
    since: Moment = strawberry.field(description="When the first of them was dropped.")
    last: Moment = strawberry.field(description="When the last of them was dropped.")


@strawberry.type(description="Messages that JetStream removed from the stream before they were read.")
class LostMessages:
    stream: str = strawberry.field(description="The stream they were in.")
    from_: BigInt = strawberry.field(name="from", description="The sequence of the first of them in the stream.")
    to: BigInt = strawberry.field(description="The sequence of the last of them.")
    at: Moment = strawberry.field(description="When it was noticed.")


@strawberry.type(description="How the log is doing.")
class LogStatus(Node):
    id: strawberry.ID = strawberry.field(
        description="The log's: a backup that is restored keeps it, and a log that is begun anew gets another."
    )
    head: BigInt = strawberry.field(description="The last position; 0 while the log is empty.")
    first_position: BigInt | None = strawberry.field(description="The first position that is kept.")
    rejected: BigInt = strawberry.field(
        description="How many rejected messages are kept; `rejectedDropped` has those for which there was no room."
    )
    source_resets: int = strawberry.field(
        description="How often the stream was made anew or lost its tail, and was read from its start."
    )
    lost_messages: list[LostMessages] = strawberry.field(
        description="Messages that were acknowledged but removed from the stream before they were read: for a limit of "
        "the stream, for their age, or by hand. The last 100 ranges, the oldest first."
    )
    lost_message_count: BigInt = strawberry.field(description="How many messages were ever lost in this way.")
    ingesting: bool = strawberry.field(description="Whether an ingester is at work just now.")
    retention: list[RetentionRule] = strawberry.field(description="How long events are kept, by type.")
    versions: Versions = strawberry.field(description="What runs here.")

    @strawberry.field(description="What is followed live through the process that answers.")
    def subscriptions(self, info: Info) -> Subscriptions:
        state = info.context.services.hub.state()
        return Subscriptions(count=state.count, cohorts=state.cohorts, slowest_lag=BigInt(state.slowest_lag_events))

    @strawberry.field(description="The rejected messages that were dropped for want of room; null if none were.")
    async def rejected_dropped(self, info: Info) -> RejectedDropped | None:
        found = await status_resolver.dropped(info.context.log)
        if found is None:
            return None
        return RejectedDropped(
            count=BigInt(found.count),
            codes=[CodeCount(code=code, count=BigInt(n)) for code, n in found.codes.items()],
            since=Moment(found.since),
            last=Moment(found.last),
        )

    @strawberry.field(description="How far the log is behind; null while NATS does not answer.")
    async def ingest_lag(self, info: Info) -> IngestLag | None:
        services = info.context.services
        lag = await services.lag() if services.nats_connected() else None  # which else would wait for NATS to answer
        return None if lag is None else IngestLag(events=BigInt(lag.events), seconds=lag.seconds)


def log_status(status: Status, info: Info) -> LogStatus:
    """What the store and the process know, as one answer."""
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
