"""Requests of GraphQL over HTTP, right and wrong, and what their answers tell."""

from typing import Any

import httpx

NEW = "application/graphql-response+json"
OLD = "application/json"
FINE = {"query": "{ log { head } }"}
HEAD = {"data": {"log": {"head": 300}}}
SEVERAL = "query A { log { head } } query B { stats { totalEvents } } mutation C { __typename }"
BY_HASH = {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb46db40b5132295c0291d62fb6"}}


async def post(http: httpx.AsyncClient, body: object, accept: str = OLD) -> httpx.Response:
    """The answer to a body by POST."""
    return await http.post("/graphql", json=body, headers={"accept": accept})


def told(response: httpx.Response) -> Any:
    """The one error of a refused request, which every refusal has as JSON."""
    assert response.headers["content-type"].endswith("json; charset=utf-8")
    body = response.json()
    assert body.keys() == {"errors"}
    [error] = body["errors"]
    assert isinstance(error["message"], str)
    return error
