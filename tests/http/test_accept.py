"""What a client accepts: a weight of zero refuses a type, however the zero is written."""

import pytest
from starlette.requests import Request

from eventscope.http.accept import parse_accept
from eventscope.http.event_stream import is_requested
from eventscope.http.graphiql import wants_html
from eventscope.http.negotiation import JSON, RESPONSE, negotiate

NO = [
    "q=0",
    "q=0.0",
    "q=0.000",
    "q=0.",
    "q=.0",
    "Q=0",
    " q = 0 ",
    "q=0;x=1",
    "x=1;q=0.00",
    "q=-1",
    "q=nan",
    "q=no",
    "q=",
]
YES = ["q=1", "q=1.000", "q=0.001", "q=.5", "Q=0.5", " q = 0.5 ", "x=1", "q=0.5;q=0", ""]


def _gets(accept: str) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": [(b"accept", accept.encode())]})


@pytest.mark.parametrize("weight", NO)
def test_a_weight_of_zero_means_not_accepted(weight: str) -> None:
    assert not is_requested(f"application/json, text/event-stream;{weight}")
    assert negotiate(f"application/json;{weight}") is None
    assert negotiate(f"application/graphql-response+json;{weight}, application/json;q=0.1") == JSON
    assert not wants_html(_gets(f"text/html;{weight}, application/json;q=0.1"))


@pytest.mark.parametrize("weight", YES)
def test_a_weight_above_zero_means_accepted(weight: str) -> None:
    assert is_requested(f"application/json, text/event-stream;{weight}")
    assert is_requested(f"Text/Event-Stream ;{weight}")
    assert negotiate(f"application/json;{weight}") == JSON
    assert wants_html(_gets(f"text/html;{weight}"))


def test_a_wildcard_does_not_include_what_is_refused_by_name() -> None:
    assert negotiate("application/json;q=0, */*") == RESPONSE
    assert negotiate("application/json;q=0.0, application/graphql-response+json;q=0, */*") is None
    assert not is_requested("text/event-stream;q=0, */*")


def test_weights_lie_between_zero_and_one() -> None:
    assert parse_accept("a;q=1.9, B ; q=0.25,c") == [("a", 1.0), ("b", 0.25), ("c", 1.0)]
