"""Requests that together take every path through execution, so that any mistake in compiling would show."""

from typing import Any, Final

EVENT: Final = (
    "id messageId position cursor type timestamp recordedAt aggregateType aggregateId version claimedVersion userId"
    " correlationId causationId data metadata extensions expiresAt"
)
WHOLE: Final = (
    f"{{ edges {{ cursor node {{ {EVENT} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }}"
)


def body(query: str, **more: Any) -> dict[str, Any]:
    """The body of a request."""
    return {"query": query, **({"variables": more} if more else {})}


QUERIES: Final = (
    body(f"{{ events(first: 40) {WHOLE} }}"),
    body(f"query ($n: Int, $after: String) {{ events(first: $n, after: $after) {WHOLE} }}", n=30, after="e64"),
    body(f"query ($n: Int = 7) {{ events(first: $n, order: OLDEST_FIRST) {WHOLE} }}"),
    body("query ($n: Int! = 3) { events(last: $n, before: null) { nodes { id } } }"),
    body("query ($n: Int!) { events(first: $n) { nodes { id } } }"),
    body("query ($n: Int!) { events(first: $n) { nodes { id } } }", n=None),
    body("query ($n: Int!) { events(first: $n) { nodes { id } } }", n="5"),
    body("query ($n: Int!) { events(first: $n) { nodes { id } } }", n=5.0),
    body("query ($unused: Boolean!) { events(first: 2) { nodes { id } } }"),
    body("query ($o: Order) { events(first: 3, order: $o) { nodes { id position } } }", o="OLDEST_FIRST"),
    body("query ($o: Order) { events(first: 3, order: $o) { nodes { id position } } }", o=None),
    body("query ($o: Order) { events(first: 3, order: $o) { nodes { id position } } }", o="oldest"),
    body(
        "query ($f: EventFilter) { events(first: 9, filter: $f) { nodes { id type userId } totalCount { exact } } }",
        f={"eventTypes": ["user.*"], "userId": "alice", "fromPosition": "5"},
    ),
    body(
        "query ($t: [String!], $u: ID) { events(first: 9, filter: {eventTypes: $t, userId: $u}) { nodes { id } } }",
        t=["user.created", "file.*"],
    ),
    body("{ events(first: 4) { a: nodes { x: id y: id } nodes { type } b: edges { c: cursor node { id type } } } }"),
    body("{ events(first: 4) { nodes { id } nodes { type } edges { node { version } } edges { cursor } } }"),
    body("{ other: events(first: 2) { __typename nodes { __typename t: __typename id } pageInfo { __typename } } }"),
    body(
        "query ($a: Boolean!, $b: Boolean!) { events(first: 5) { nodes { id @skip(if: $a) type @include(if: $b)"
        " version @skip(if: false) userId @include(if: false) } pageInfo @include(if: $b) { endCursor } } }",
        a=True,
        b=False,
    ),
    body(
        "query ($a: Boolean!, $b: Boolean!) { events(first: 5) { nodes { id @skip(if: $a) type @include(if: $b)"
        " version @skip(if: false) userId @include(if: false) } pageInfo @include(if: $b) { endCursor } } }",
        a=False,
        b=True,
    ),
    body("query ($a: Boolean!) { events(first: 2) @skip(if: $a) { nodes { id } } __typename }", a=True),
    body("query ($a: Boolean!) { events(first: 2) @skip(if: $a) { nodes { id } } __typename }", a=False),
    body(
        "query { events(first: 6) { ...page } } fragment page on EventConnection { nodes { ...one ... on Event"
        " { version } ... { userId } } pageInfo { hasNextPage } } fragment one on Event { id cursor ...two }"
        " fragment two on Event { id data }"
    ),
    body("{ events(first: 30) { nodes { id aggregate { id aggregateId type version lastEventAt deleted } type } } }"),
    body("{ events(first: 30) { nodes { cause { id cause { id type } } data version } } }"),
    body("{ events(first: 5) { nodes { id effects(first: 2) { nodes { id } totalCount { exact } } metadata } } }"),
    body("{ events(first: 5) { edges { node { related(first: 2) { edges { cursor node { id } } } } cursor } } }"),
    body("{ events(first: 3) { totalCount { exact atLeast } coverage { complete scannedTo } nodes { id } } }"),
    body("{ a: events(first: 3) { nodes { id } } b: replay(first: 3) { nodes { id } } c: stats { totalEvents } }"),
    body(f"{{ replay(first: 20) {WHOLE} }}"),
    body("query ($u: String) { replay(first: 3, upTo: $u) { edges { cursor } pageInfo { endCursor } } }", u="e14"),
    body(f'{{ event(id: "m010") {{ {EVENT} }} }}'),
    body('{ event(id: "nothing") { id } }'),
    body("query ($id: ID!) { event(id: $id) { id aggregate { events(first: 2) { nodes { id data } } } } }", id="m007"),
    body("query ($id: ID!) { event(id: $id) { id } }", id=7),
    body('{ aggregate(type: "user", id: "u1") { id version eventCount firstEventAt events { nodes { id } } } }'),
    body('{ aggregate(type: "user", id: "nobody") { id } }'),
    body("{ aggregates(first: 9, order: RECENTLY_CREATED) { nodes { id aggregateId type } totalCount { exact } } }"),
    body("query ($id: ID!) { node(id: $id) { __typename id ... on Event { type cursor data } } }", id="m007"),
    body('{ node(id: "aggregate:user/u1") { id ... on Aggregate { version events(first: 2) { nodes { id } } } } }'),
    body('{ nodes(ids: ["m007", "type:user.created", "rejected:1", "x", "m007"]) { __typename id } }'),
    body('{ node(id: "log:") { id } other: node(id: "nonsense") { id } }'),
    body("{ eventTypes(first: 5) { id type count } rejectedEvents(first: 2) { nodes { id code } } }"),
    body("{ aggregates(first: 4) { edges { cursor node { id events(first: 1) { nodes { id } } } } } }"),
    body(
        "{ stats { totalEvents uniqueAggregates eventTypes eventTypeBreakdown { type count } timeRange { earliest }"
        " histogram(interval: DAY, by: TYPE) { start end key count } } }"
    ),
    body('{ stats(filter: {aggregateType: "nothing"}) { totalEvents timeRange { latest } } }'),
    body("{ rejectedEvents(first: 3) { nodes { code reason subject headers recordedAt raw } totalCount { exact } } }"),
    body("{ log { head firstPosition rejected sourceResets retention { eventTypes days } versions { mongodb } } }"),
    body('{ eventTypes(prefix: "user.") { type count } }'),
    body('{ trace(correlationId: "c3") { eventCount nodes { index depth event { id cause { id } } } } }'),
    body("{ __typename }"),
    body("{ __schema { queryType { name fields { name } } } events(first: 1) { nodes { id } } }"),
    # what fails before, during and after execution
    body('{ events(after: "x") { nodes { id } } }'),
    body("{ events(first: 1001) { nodes { id } } }"),
    body('{ events(first: 1, last: 1) { nodes { id } } event(id: "m001") { id } }'),
    body('{ aggregate(type: "user", id: "u1") { id events(after: "x") { nodes { id } } } }'),
    body("{ events(first: 3) { nodes { id effects(first: -1) { nodes { id } } cause { id } } } }"),
    body("{ events(first: 1000) { nodes { aggregate { events(first: 11) { nodes { id } } } } } }"),
    body("query ($n: Int) { events(first: $n) { nodes { effects(first: $n) { nodes { id } } } } }", n=400),
    body("{ events { nodes { nothing } } }"),
    body("{ events { nodes { id } }"),
    body("{ a b }"),
    body("query A { __typename } query B { events(first: 1) { nodes { id } } }"),
    {"query": "query A { __typename } query B { events(first: 1) { nodes { id } } }", "operationName": "B"},
    {"query": "query A { __typename } query B { events(first: 1) { nodes { id } } }", "operationName": "C"},
    {"query": "query A { __typename }", "operationName": ""},
    body('mutation { publishEvent(input: {type: "two words"}) { messageId } }'),
    body("subscription { events { __typename } }"),
    body("query ($f: EventFilter) { events(filter: $f) { nodes { id } } }", f={"fromPosition": 2**70}),
    body("query ($f: EventFilter) { events(filter: $f) { nodes { id } } }", f={"fromTimestamp": "never"}),
    body("query ($f: EventFilter) { events(filter: $f) { nodes { id } } }", f={"unknown": 1}),
    body("query ($f: EventFilter) { events(filter: $f) { nodes { id } } }", f={"ids": "m001"}),
)

# what is not a request at all, or not an ordinary one
ODD_BODIES: Final = (
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b"\xff",
    b'{"query": ""}',
    b'{"query": 5}',
    b'{"query": "{ __typename }", "variables": []}',
    b'{"query": "{ __typename }", "variables": null, "extensions": null, "operationName": null}',
    b'{"query": "{ __typename }", "extensions": {"x": 1}}',
    b'{"query": "{ __typename }", "extensions": 5}',
    b'{"query": "{ __typename }", "operationName": 5}',
    b'{"query": "{ __typename }", "variables": {"x": 12345678901234567890123}}',
    b'[{"query": "{ __typename }"}]',
    b'{"query": "{ __typename }"} ',
)
ODD_HEADERS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"content-type": "text/plain"},
    {"content-type": "application/json; charset=utf-8", "accept": "application/graphql-response+json"},
    {"content-type": "application/json", "accept": "text/html"},
    {"content-type": "application/json", "accept": "text/html, */*;q=0.1"},
    {"content-type": "Application/JSON ;x=1", "accept": ""},
    {"content-type": "application/json", "accept": "application/json;q=0"},
    {"content-type": "application/json", "accept": "x" * 300},
)
