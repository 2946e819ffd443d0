"""Rejected messages as clients see them."""

import base64
from datetime import UTC
from typing import cast

import strawberry

from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import JSON, Moment
from eventscope.store.rejected.messages import StoredRejection
from eventscope.store.values import moment


@strawberry.type(description="A message from NATS that was rejected, exactly as it arrived.")
class RejectedEvent(Node):
    id: strawberry.ID = strawberry.field(
        description="Built from its number, which `eventscope rejected` takes: `rejected:7`."
    )
    code: str = strawberry.field(description="The reason, for programs, such as `INVALID_JSON` or `VERSION_CONFLICT`.")
    reason: str = strawberry.field(description="The reason, for people.")
    subject: str = strawberry.field(description="The NATS subject it was published on.")
    headers: JSON = strawberry.field(
        description="Its NATS headers; a header sent several times has a list of all its values."
    )
    recorded_at: Moment = strawberry.field(description="When NATS received it.")

    source = StoredRejection

    @strawberry.field(description="When it expires; null if it is kept forever.")
    def expires_at(self) -> Moment | None:
        at = cast("StoredRejection", self).expires_at
        return None if at is None else Moment(moment.of(at.replace(tzinfo=UTC)))

    @strawberry.field(description="Its bytes in base64.")
    def raw(self) -> str:
        return base64.b64encode(cast("StoredRejection", self).raw).decode()
