"""REST with the paths and shapes of an earlier gateway: four endpoints over the resolvers that GraphQL uses too."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventscope.errors import BadInput, PageTooLarge, QuestionTimedOut, TooComplex, to_client
from eventscope.http.refusals import AGAIN
from eventscope.resolvers import events, stats
from eventscope.resolvers.page import MOST, request
from eventscope.schema.types.filter import texts
from eventscope.store import aggregates
from eventscope.store.events import pages
from eventscope.store.filters.filter import All, Among, Between, Filter, TypePatterns
from eventscope.store.log import Log
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.stats.counts import Scope
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument, plain

ENDPOINTS: Final = ("history", "replay", "aggregate", "stats")
TIMES: Final = ("fromTimestamp", "toTimestamp", "beforeTimestamp")
# a date followed by either its zone, whose plus was not escaped, or a time of day
DAY_AND_ZONE: Final = re.compile(r"\d{4}-?\d\d-?\d\d \d\d(:?\d\d)?", re.ASCII)
PARAMETERS: Final = ("aggregateId", "aggregateType", "eventTypes", *TIMES, "limit")
STATUS: Final[Mapping[str, int]] = {"INTERNAL": 500, "UNAVAILABLE": 503, "TIMEOUT": 504}

Answer = Callable[[Log, Mapping[str, str]], Awaitable[dict[str, Any]]]


def routes(log: Callable[[], Log], budget: Callable[[], ReadBudget]) -> list[Route]:
    """`GET /events/history`, `/events/replay`, `/events/aggregate` and `/events/stats`."""

    def route(path: str, answer: Answer) -> Route:
        async def serve(request: Request) -> Response:
            within = budget()
            try:
                return _json(200, await answer(log().within(within), _parameters(request)))
            except Exception as error:
                failure = to_client(error)
                status = STATUS.get(failure["extensions"]["code"], 400)
                return _json(status, {"errors": [failure]}, AGAIN if status == 503 else None)
            finally:
                within.leave()  # only the text of the answer is left to send

        return Route(path, serve, methods=["GET"])

    return [
        route("/events/history", history),
        route("/events/replay", replay),
        route("/events/aggregate", aggregate),
        route("/events/stats", statistics),
    ]


def other() -> Route:
    """The route for all other paths under `/events/`; it must come after the existing ones."""
    return Route("/events/{rest:path}", _other, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])


async def _other(request: Request) -> Response:
    """The answer if there is no such path, or it does not take the method."""
    path = request.path_params["rest"]
    if path in ENDPOINTS:
        failure = to_client(BadInput(f"/events/{path} takes GET"))
        return _json(405, {"errors": [failure]}, {"allow": "GET, HEAD"})
    paths = ", ".join(f"/events/{name}" for name in ENDPOINTS)
    return _json(404, {"errors": [to_client(BadInput(f"there is no {f'/events/{path}'[:80]!r}; there are {paths}"))]})


async def history(log: Log, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The events that match."""
    return await _listing(log, parameters)


async def replay(log: Log, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The events that match, and the request's parameters."""
    types = parameters.get("eventTypes")
    filters = {name: parameters.get(name) for name in PARAMETERS}
    return await _listing(log, parameters) | {
        "filters": filters | {"eventTypes": None if types is None else _types(types), "limit": _limit(parameters)}
    }


async def aggregate(log: Log, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The events of one aggregate, and its current version."""
    for name in ("aggregateId", "aggregateType"):
        if name not in parameters:
            raise BadInput(f"{name} is missing", name)
    listing = await _listing(log, parameters)
    # read after the events, so that none of them has a later version
    type, id = parameters["aggregateType"], parameters["aggregateId"]
    return listing | {"latestVersion": await aggregates.version(log, type, id)}


async def statistics(log: Log, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Counts of the events that match; a `limit` is checked, but has no effect."""
    _limit(parameters)
    types = parameters.get("eventTypes")
    type, id = parameters.get("aggregateType"), parameters.get("aggregateId")
    low, high = _range(parameters)
    counts = await stats.stats(
        log,
        Scope(
            types=None if types is None else TypePatterns(_types(types)),
            aggregate_types=None if type is None else (type,),
            low=low,
            high=high,
            among=() if id is None else (Among("aggregateId", texts("aggregateId", [id])),),
        ),
    )
    range = counts.time_range
    listed_types = counts.event_type_breakdown[: stats.MOST_TYPES]
    listed_aggregate_types = counts.aggregate_type_breakdown[: stats.MOST_TYPES]
    left_out = {
        "eventTypes": counts.event_types - len(listed_types),
        "aggregateTypes": counts.aggregate_types - len(listed_aggregate_types),
    }
    return {
        "totalEvents": counts.total_events,
        "uniqueAggregates": await stats.unique_aggregates(counts),
        "eventTypes": counts.event_types,
        "eventTypeBreakdown": {row.type: row.count for row in listed_types},
        "aggregateTypeBreakdown": {row.type: row.count for row in listed_aggregate_types},
        "timeRange": {
            "earliest": None if range is None else moment.to_text(range.earliest),
            "latest": None if range is None else moment.to_text(range.latest),
        },
        **({"leftOut": left_out} if any(left_out.values()) else {}),
    }


async def _listing(log: Log, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The oldest events that match, oldest first."""
    filter = _filter(parameters)
    page = await events.events(log, filter, request(_limit(parameters), None), newest_first=False)
    # these are errors, since this form has no way to say that the page is incomplete, or to continue
    if page.coverage.full:
        raise TooComplex(pages.TOO_LARGE)
    if not page.coverage.complete:
        raise QuestionTimedOut(log.question_seconds)
    return {
        "aggregateId": parameters.get("aggregateId"),
        "aggregateType": parameters.get("aggregateType"),
        # counts all that match, so that a client sees that the limit has left some out
        "totalEvents": await events.total(log, filter) if page.page_info.has_next_page else len(page.nodes),
        "events": [_event(event) for event in page.nodes],
    }


def _event(event: EventDocument) -> dict[str, Any]:
    return {
        "id": event["messageId"],
        "type": event["type"],
        "timestamp": moment.to_text(event["timestamp"]),
        "version": event.get("version"),
        "claimedVersion": event.get("claimedVersion"),
        "userId": event.get("userId"),
        "data": event.get("data"),
        "metadata": event.get("metadata"),
        "aggregateId": event.get("aggregateId"),
        "aggregateType": event.get("aggregateType"),
        "correlationId": event.get("correlationId"),
        "causationId": event.get("causationId"),
        "position": event["_id"],
    }


def _parameters(request: Request) -> Mapping[str, str]:
    parameters = request.query_params
    for name in parameters:
        if name not in PARAMETERS:
            raise BadInput(f"{name!r:.60} is not a parameter; there are {', '.join(PARAMETERS)}")
        if len(parameters.getlist(name)) > 1:
            raise BadInput(f"{name} is given more than once", name)
    query = request.url.query
    return {name: _with_plus(name, value, query) for name, value in parameters.items() if _has_value(name, value)}


def _has_value(name: str, value: str) -> bool:
    return bool(value.strip(", ") if name == "eventTypes" else value)


def _with_plus(name: str, text: str, query: str) -> str:
    if name in TIMES and DAY_AND_ZONE.fullmatch(text) and re.search(rf"(?:^|&){name}=[^&]*\+", query):
        # the space may stand for a plus or come before a time
        raise BadInput(f"{name}: {text!r} may be a day with a zone or a time; put a T before a time", name)
    # a plus that was not escaped arrives as a space; the only other space may be that before the time of day
    before, _, zone = text.rpartition(" ")
    return f"{before}+{zone}" if name in TIMES and re.search("[Tt ]", before) else text


def _filter(parameters: Mapping[str, str]) -> Filter:
    parts: list[Filter] = []
    if "aggregateId" in parameters:
        parts.append(Among("aggregateId", texts("aggregateId", [parameters["aggregateId"]])))
    if "aggregateType" in parameters:
        parts.append(Among("aggregateType", texts("aggregateType", [parameters["aggregateType"]])))
    if "eventTypes" in parameters:
        parts.append(TypePatterns(_types(parameters["eventTypes"])))
    low, high = _range(parameters)
    if low is not None or high is not None:
        parts.append(Between("timestamp", low, high))
    return All(tuple(parts))


def _types(text: str) -> tuple[str, ...]:
    return texts("eventTypes", [type.strip() for type in text.split(",") if type.strip()])


def _range(parameters: Mapping[str, str]) -> tuple[int | None, int | None]:
    start, last, before = (_time(parameters, name) for name in TIMES)
    return moment.ends(start, last, before)


def _time(parameters: Mapping[str, str], name: str) -> int | None:
    if name not in parameters:
        return None
    try:
        return moment.from_argument(parameters[name])
    except ValueError as error:
        raise BadInput(f"{name}: {error}", name) from None


def _limit(parameters: Mapping[str, str]) -> int | None:
    text = parameters.get("limit")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) == 0:
        raise BadInput(f"limit is {text[:40]!r} and not a number from 1 to {MOST}", "limit")
    if int(text) > MOST:
        raise PageTooLarge("limit", int(text), MOST)
    return int(text)


def _json(status: int, body: object, more: Mapping[str, str] | None = None) -> Response:
    headers = {"vary": "Accept-Encoding", "cache-control": "no-store", "x-content-type-options": "nosniff"}
    text = orjson.dumps(body, default=plain)
    return Response(text, status, {**headers, **(more or {})}, media_type="application/json")
