"""Whatever has an id, by its id; those of one kind are read together."""

import asyncio
from collections.abc import Sequence

from eventscope.errors import BadInput
from eventscope.resolvers import status
from eventscope.schema import ids
from eventscope.schema.context import Info
from eventscope.schema.types.filter import MOST_VALUES
from eventscope.schema.types.log_status import log_status


async def node(info: Info, id: str) -> object | None:
    """What has the id; None for an id of nothing, as for one that nothing could have."""
    context = info.context
    context.spend(1)
    if (name := ids.aggregate(id)) is not None:
        return await context.aggregate_loader.load(name)
    if (type := ids.event_type(id)) is not None:
        return await context.type_loader.load(type)
    if (number := ids.rejected(id)) is not None:
        return await context.rejected_loader.load(number)
    if id.startswith(ids.LOG):
        found = await status.status(context.log)
        return log_status(found, info) if ids.of_log(found.checkpoint.identity) == id else None
    message_id = ids.message_id(id)
    # an id that begins like one of another kind, or is escaped without need, is no event's
    if ids.of_event({"messageId": message_id}) != id:
        return None
    return await context.event_loader.load(message_id)


async def nodes(info: Info, given: Sequence[str]) -> list[object | None]:
    """What has each of these ids, in its place; BadInput when they are too many."""
    if len(given) > MOST_VALUES:
        raise BadInput(f"ids has {len(given)} values; {MOST_VALUES} are the most", "ids")
    distinct = tuple(dict.fromkeys(given))
    found = await asyncio.gather(*(node(info, id) for id in distinct))
    return list(map(dict(zip(distinct, found, strict=True)).get, given))
