"""Reading what has happened, for services: replays and the newest events, page after page from the API."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from eventscope.client.api import Questions
from eventscope.client.event import SELECTION, Event, read
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
    questions: Questions, filter: Mapping[str, Any], after: str | None, up_to: str | None
) -> AsyncGenerator[Event, None]:
    """Events in the order of the log, up to its end when the first page was read: cursors of pages pin it."""
    asked = {"filter": filter, "first": PAGE, "after": after, "upTo": up_to}
    while True:
        page = await _page(questions, REPLAY, asked)
        for node in page["nodes"]:
            yield read(node)
        if not page["pageInfo"]["hasNextPage"]:
            return
        asked["after"] = page["pageInfo"]["endCursor"]


async def newest(questions: Questions, filter: Mapping[str, Any], limit: int) -> list[Event]:
    """So many events, the newest first."""
    if limit < 0:
        raise BadInput(f"limit is {limit}, and there are no fewer events than none", "limit")
    found: list[Event] = []
    asked: dict[str, Any] = {"filter": filter, "after": None}
    while len(found) < limit:
        page = await _page(questions, NEWEST, asked | {"first": min(PAGE, limit - len(found))})
        found += map(read, page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            break
        asked["after"] = page["pageInfo"]["endCursor"]
    return found


async def _page(questions: Questions, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    page: dict[str, Any] = (await questions.ask(query, variables))["page"]
    return page
