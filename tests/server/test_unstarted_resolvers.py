"""A client that leaves while its operation starts causes no warning in the log."""

import asyncio
import gc
import warnings
from contextlib import suppress
from types import SimpleNamespace
from typing import cast

import pytest

from eventscope.schema.build import build
from eventscope.schema.context import Context, Services
from eventscope.schema.limits.limits import Limits
from eventscope.server.api import ignore_unstarted_resolvers
from eventscope.store.mongo.permits import Permits

SCHEMA = build()
SERVICES = SimpleNamespace(limits=Limits(), permits=Permits(1, 1.0), log=SimpleNamespace(within=lambda budget: None))
QUERY = "{ log { head } stats { totalEvents } events(first: 1) { nodes { id } } }"


@pytest.mark.parametrize("ignored", [False, True])
async def test_resolvers_that_are_cancelled_before_they_start_cause_no_warning(ignored: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if ignored:
            ignore_unstarted_resolvers()
        for ticks in range(4):  # no resolver gets far enough to need a service
            await cancelled_after(ticks)
    messages = {str(one.message) for one in caught}
    assert all("_async_resolver" in message for message in messages)
    assert bool(messages) == (not ignored), "or graphql-core has changed, and nothing need be ignored any longer"


async def cancelled_after(ticks: int) -> None:
    """Run an operation, and cancel it after this many turns of the loop."""
    context = Context(cast("Services", SERVICES))
    operation = asyncio.create_task(SCHEMA.execute(QUERY, context_value=context))
    for _ in range(ticks):
        await asyncio.sleep(0)
    operation.cancel()
    with suppress(asyncio.CancelledError):
        await operation
    del operation
    gc.collect()
