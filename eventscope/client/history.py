"""Reading past events page by page: replays, and the newest events."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from eventscope.client.api import ApiClient
from eventscope.client.event import SELECTION, Event, parse_event
from eventscope.errors import BadInput

PAGE: Final = 200
REPLAY: Final = f"""query ($filter: EventFilter, $first: Int, $after: String, $upTo: String) {{
  page: replay(filter: $filter, first: $first, after: $after, upTo: $upTo) {{
    nodes {{ {SELECTION} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""
NEWEST: Final = f"""query ($filter: EventFilter, $first: Int, $after: String) {{
  page: events(filter: $filter, first: $first, after: $after) {{
    nodes {{ {SELECTION} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""


async def replay(
    api: ApiClient, filter: Mapping[str, Any], after: str | None, up_to: str | None
) -> AsyncGenerator[Event, None]:
    """Matching events in log order, up to the log's end when the first page was read, which the cursors record."""
    variables = {"filter": filter, "first": PAGE, "after": after, "upTo": up_to}
    while True:
        page = await _page(api, REPLAY, variables)
        for node in page["nodes"]:
            yield parse_event(node)
        if not page["pageInfo"]["hasNextPage"]:
            return
        variables["after"] = page["pageInfo"]["endCursor"]


async def newest(api: ApiClient, filter: Mapping[str, Any], limit: int) -> list[Event]:
    """At most `limit` matching events, newest first. BadInput for a negative limit."""
    if limit < 0:
        raise BadInput(f"limit is {limit}; it must not be negative", "limit")
    events: list[Event] = []
    variables: dict[str, Any] = {"filter": filter, "after": None}
    while len(events) < limit:
        page = await _page(api, NEWEST, variables | {"first": min(PAGE, limit - len(events))})
        events += map(parse_event, page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            break
        variables["after"] = page["pageInfo"]["endCursor"]
    return events


async def _page(api: ApiClient, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    page: dict[str, Any] = (await api.query(query, variables))["page"]
    return page
