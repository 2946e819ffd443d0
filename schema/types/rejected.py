"""Rejected messages as clients see them."""

import base64
from datetime import UTC
from typing import cast

import strawberry

from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import JSON, Moment
from eventscope.store.rejected.messages import Rejected
from eventscope.store.values import moment


@strawberry.type(description="A message that came over NATS and could not be taken, as it came.")
class RejectedEvent(Node):
    id: strawberry.ID = strawberry.field(
        description="Made of its number, by which `eventscope rejected` takes it: `rejected:7`."
    )
    code: str = strawberry.field(description="Why, for programs: `INVALID_JSON`, `VERSION_CONFLICT` …")
    reason: str = strawberry.field(description="Why, for people.")
    subject: str = strawberry.field(description="The NATS subject that it came on.")
    headers: JSON = strawberry.field(
        description="Its NATS headers; of one that was sent several times, a list of all values."
    )
    recorded_at: Moment = strawberry.field(description="When NATS took it in.")

    source = Rejected

    @strawberry.field(description="When it will be gone; null if it is kept.")
    def expires_at(self) -> Moment | None:
        at = cast("Rejected", self).expires_at
        return None if at is None else Moment(moment.of(at.replace(tzinfo=UTC)))

    @strawberry.field(description="Its bytes, in base64.")
    def raw(self) -> str:
        return base64.b64encode(cast("Rejected", self).raw).decode()
