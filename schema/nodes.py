"""Fetches objects of any type by their ids; those of one type are read together."""

import asyncio
from collections.abc import Sequence

from eventscope.errors import BadInput
from eventscope.resolvers import status
from eventscope.schema import ids
from eventscope.schema.context import Info
from eventscope.schema.types.filter import MOST_VALUES
from eventscope.schema.types.log_status import log_status


async def node(info: Info, id: str) -> object | None:
    """The object with the id; None if there is none, even for an id that no object could have."""
    context = info.context
    context.charge(1)
    if (name := ids.aggregate(id)) is not None:
        return await context.aggregate_loader.load(name)
    if (type := ids.event_type(id)) is not None:
        return await context.type_loader.load(type)
    if (number := ids.rejected(id)) is not None:
        return await context.rejected_loader.load(number)
    if id.startswith(ids.LOG):
        state = await status.status(context.log)
        return log_status(state, info) if ids.of_log(state.checkpoint.identity) == id else None
    message_id = ids.message_id(id)
    # ids that begin like those of another type, or have a needless prefix, belong to no event
    if ids.of_event({"messageId": message_id}) != id:
        return None
    return await context.event_loader.load(message_id)


async def nodes(info: Info, all_ids: Sequence[str]) -> list[object | None]:
    """The objects with these ids, in the same order; BadInput if there are too many."""
    if len(all_ids) > MOST_VALUES:
        raise BadInput(f"ids has {len(all_ids)} values; the limit is {MOST_VALUES}", "ids")
    distinct = tuple(dict.fromkeys(all_ids))
    objects = await asyncio.gather(*(node(info, id) for id in distinct))
    return list(map(dict(zip(distinct, objects, strict=True)).get, all_ids))
