"""Connections, after Relay's cursor connection specification. Sources are the pages of the resolvers."""

from typing import Generic, TypeVar

import strawberry

from eventscope.resolvers.page import Page
from eventscope.schema.types.scalars import BigInt

Node = TypeVar("Node")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more behind this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is something before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first entry.")
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last entry, or of the place where looking ended: pass it as `after` to go on."
    )


@strawberry.type(description="How many there are. Counting stops at a bound, and then says so.")
class TotalCount:
    at_least: BigInt = strawberry.field(description="There are so many, or more.")
    exact: BigInt | None = strawberry.field(description="There are just so many; null if counting stopped before.")


@strawberry.type(
    description="How far a list was looked through for a page. Where no index leads to what is asked for, a page ends "
    "when its time is up, and one of very large events at 16 MiB, with what was found until then; `endCursor` (or "
    "`startCursor`, backwards) goes on from there."
)
class Coverage:
    complete: bool = strawberry.field(description="Whether the page has all that it could have held.")
    scanned_to: BigInt | None = strawberry.field(
        description="The position up to which was looked; null if the page is complete."
    )


@strawberry.type(description="One entry of a list and its place in it.")
class Edge(Generic[Node]):
    cursor: str = strawberry.field(description="The place of this entry, to be passed as `after` or `before`.")
    node: Node = strawberry.field(description="The entry.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    edges: list[Edge[Node]] = strawberry.field(description="The entries with their places.")
    nodes: list[Node] = strawberry.field(description="The entries alone.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in its list.")
    coverage: Coverage = strawberry.field(description="Whether time or room was up before the page was full.")

    @strawberry.field(description="How many entries the whole list has. Counted only when asked for.")
    async def total_count(self) -> TotalCount:
        page: Page[object] = self  # type: ignore[assignment]  # sources are pages, not instances of this class
        return await page.total_count()  # type: ignore[return-value]  # a Count has the fields that are asked for
