"""Connections according to Relay's cursor connection specification. Their sources are the pages of the resolvers."""

from typing import Generic, TypeVar

import strawberry

from eventscope.resolvers.page import Page
from eventscope.schema.types.scalars import BigInt

Node = TypeVar("Node")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more entries follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether entries precede this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first entry.")
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last entry, or of the place where the search stopped: pass it as "
        "`after` to continue."
    )


@strawberry.type(description="The number of entries. Counting stops at a limit; `exact` is null then.")
class TotalCount:
    at_least: BigInt = strawberry.field(description="There are this many, or more.")
    exact: BigInt | None = strawberry.field(description="There are exactly this many; null if counting stopped early.")


@strawberry.type(
    description="How much of a list was searched for a page. A search that no index supports ends when "
    "its time is up, and a page of very large events ends at 16 MiB, with what was found so "
    "far; continue from `endCursor` (or, backwards, from `startCursor`)."
)
class Coverage:
    complete: bool = strawberry.field(description="Whether the search for this page was completed.")
    scanned_to: BigInt | None = strawberry.field(
        description="The position at which the search stopped; null if the page is complete."
    )


@strawberry.type(description="One entry of a list and its cursor.")
class Edge(Generic[Node]):
    cursor: str = strawberry.field(description="The cursor of this entry, for `after` or `before`.")
    node: Node = strawberry.field(description="The entry.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    edges: list[Edge[Node]] = strawberry.field(description="The entries with their cursors.")
    nodes: list[Node] = strawberry.field(description="The entries alone.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in its list.")
    coverage: Coverage = strawberry.field(
        description="Whether, and where, the page ended early because of the time or size limit."
    )

    @strawberry.field(description="The number of entries in the whole list. Counted only when selected.")
    async def total_count(self) -> TotalCount:
        page: Page[object] = self  # type: ignore[assignment]  # sources are pages, not instances of this class
        return await page.total_count()  # type: ignore[return-value]  # a Count has the fields of this type
