"""Media types of GraphQL over HTTP: which one a client gets, and with which status. No I/O.

The specification's working draft says 422 where graphql-http's audits want 400, and 4xx under application/json where
they want 200. Both agree with the draft's MUSTs; we follow the audits, and this is the only place to change that.
"""

from typing import Final

from eventscope.http.accept import parse_accept

RESPONSE: Final = "application/graphql-response+json"
JSON: Final = "application/json"


def negotiate(accept: str | None) -> str | None:
    """The media type of the answer; None if the client accepts neither."""
    if not accept:
        return JSON
    weights = parse_accept(accept)
    excluded = {name for name, weight in weights if weight == 0}
    best: tuple[float, int, int, str] | None = None
    for index, (name, weight) in enumerate(weights):
        if weight == 0:
            continue
        if name in (RESPONSE, JSON):
            choice = (weight, 2, -index, name)
        elif name in ("application/*", "*/*") and (left := [one for one in (JSON, RESPONSE) if one not in excluded]):
            choice = (weight, 1, -index, left[0])
        else:
            continue
        best = choice if best is None else max(best, choice)
    return None if best is None else best[3]


def status(media_type: str, *, is_request_error: bool) -> int:
    """The status of a well-formed answer; a request error is one found before execution."""
    return 400 if is_request_error and media_type == RESPONSE else 200
