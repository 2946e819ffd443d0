"""Negotiation: which media type a client gets, and which status an answer has in that type. No I/O."""

import pytest

from eventscope.http.negotiation import JSON, RESPONSE, negotiate, status


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("application/graphql-response+json", RESPONSE),
        ("Application/GraphQL-Response+JSON; charset=utf-8", RESPONSE),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE),
        ("application/json;q=0.9, application/graphql-response+json", RESPONSE),
        ("application/json, application/graphql-response+json", JSON),
        ("application/graphql-response+json;q=0.5, application/json;q=0.4", RESPONSE),
        ("application/graphql-response+json;q=0, */*", JSON),
        ("*/*;q=0.1, application/graphql-response+json;q=0.1", RESPONSE),
        ("text/html, application/json;q=0.1", JSON),
        ("text/plain", None),
        ("text/html,application/xhtml+xml", None),
        ("application/json;q=0", None),
        ("application/json;q=nonsense", None),
        ("text/event-stream", None),
        ("multipart/mixed", None),
        (",;,", None),
    ],
)
def test_the_answer_has_the_available_media_type_that_the_client_prefers(accept: str | None, wanted: str) -> None:
    assert negotiate(accept) == wanted


def test_an_invalid_request_gets_400_only_from_clients_that_know_the_newer_media_type() -> None:
    assert status(RESPONSE, is_request_error=True) == 400
    assert status(JSON, is_request_error=True) == 200
    assert status(RESPONSE, is_request_error=False) == 200
    assert status(JSON, is_request_error=False) == 200
