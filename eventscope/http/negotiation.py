"""Media types of GraphQL over HTTP: which one a client wants, and which status an answer gets in it. No I/O.

The working draft of the specification says 422 where graphql-http's audits want 400, and 4xx under application/json
where they want 200. Both agree with the draft's MUSTs; the audits are followed, and this is the one place to change.
"""

from typing import Final

from eventscope.http.accept import accepted

RESPONSE: Final = "application/graphql-response+json"
JSON: Final = "application/json"


def negotiate(accept: str | None) -> str | None:
    """The media type to answer in; None when the client takes none that there is."""
    if not accept:
        return JSON
    taken = accepted(accept)
    refused = {name for name, weight in taken if weight == 0}
    best: tuple[float, int, int, str] | None = None
    for place, (name, weight) in enumerate(taken):
        if weight == 0:
            continue
        if name in (RESPONSE, JSON):
            choice = (weight, 2, -place, name)
        elif name in ("application/*", "*/*") and (known := [one for one in (JSON, RESPONSE) if one not in refused]):
            choice = (weight, 1, -place, known[0])
        else:
            continue
        best = choice if best is None else max(best, choice)
    return None if best is None else best[3]


def status(media_type: str, *, is_request_error: bool) -> int:
    """The status of a well-formed answer. A request error is one found before anything was executed."""
    return 400 if is_request_error and media_type == RESPONSE else 200
