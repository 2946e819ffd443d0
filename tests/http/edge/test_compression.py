"""Answers as gzip: which clients get them, from which size on, and with the same content."""

import gzip
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from eventscope.http.edge.compression import LEAST, NotAcceptable, min_size
from tests.support.clients.event_stream import EVENTS, open_stream
from tests.support.sample_log import SampleApi, sample_api

LARGE = "{ events(first: 200) { nodes { id type data metadata } } }"
SMALL = "{ log { head } }"
ALWAYS = 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url, origins=("https://ours.example",)) as sample:
        yield sample


async def sent(
    http: httpx.AsyncClient, method: str, path: str, query: str, taken: str | None, **headers: str
) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it was sent."""
    request = http.build_request(
        method,
        path,
        json={"query": query} if method == "POST" else None,
        params={"query": query} if path == "/graphql" and method == "GET" else None,
        headers=headers,
    )
    del request.headers["accept-encoding"]
    if taken is not None:
        request.headers["accept-encoding"] = taken
    response = await http.send(request, stream=True)
    try:
        return response, b"".join([part async for part in response.aiter_raw()])
    finally:
        await response.aclose()


@pytest.mark.parametrize(
    ("header", "least"),
    [
        *[(one, LEAST) for one in ("gzip", "GZIP", "x-gzip", "gzip, deflate, br, zstd", "*", "br;q=1, *;q=0.1")],
        *[(one, LEAST) for one in ("gzip;q=0.001", "gzip; q=1.0, identity; q=0.5", "gzip;q=.5,identity;q=.5", "*;q=1")],
        *[(one, None) for one in ("", "identity", "br", "gzip;q=0", "gzip;q=0.000", "gzip;q=much", "*;q=1, gzip;q=0")],
        *[(one, None) for one in ("gzip;q=0.5, identity", "gzip;q=0.5, identity;q=0.6", "gzipped", "deflate")],
        *[(one, ALWAYS) for one in ("gzip, identity;q=0", "identity;q=0, *", "gzip, *;q=0", "gzip;q=0.1, *; q=0.0")],
    ],
)
def test_an_answer_is_compressed_for_clients_that_prefer_gzip_or_have_no_preference(
    header: str, least: int | None
) -> None:
    assert min_size(header.encode()) == least


@pytest.mark.parametrize("header", ["identity;q=0", "*;q=0", "gzip;q=0, identity;q=0", "br, *;q=0"])
def test_clients_that_accept_neither_encoding_are_distinguished_from_those_that_accept_identity(header: str) -> None:
    with pytest.raises(NotAcceptable):
        min_size(header.encode())


@given(st.binary(max_size=60))
def test_no_header_makes_it_fail(header: bytes) -> None:
    with suppress(NotAcceptable):
        assert min_size(header) in (None, ALWAYS, LEAST)


QUESTIONS = [
    ("POST", "/graphql", LARGE),
    ("GET", "/graphql", LARGE),
    ("GET", "/events/history?limit=200", ""),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "query"), QUESTIONS)
async def test_a_large_answer_is_compressed_and_has_the_same_content(
    http: httpx.AsyncClient, method: str, path: str, query: str
) -> None:
    as_it_is, plain = await sent(http, method, path, query, None)
    assert "content-encoding" not in as_it_is.headers
    response, packed = await sent(http, method, path, query, "gzip, deflate, br")
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(packed) < len(plain) / 3
    assert gzip.decompress(packed) == plain
    for one in (as_it_is, response):
        assert "Accept-Encoding" in one.headers["vary"].split(", ")
    same = {"content-encoding", "content-length", "date"}
    assert {name: value for name, value in response.headers.items() if name not in same} == {
        name: value for name, value in as_it_is.headers.items() if name not in same
    }


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("taken", [None, "", "identity", "br", "gzip;q=0"])
async def test_clients_that_do_not_accept_gzip_get_an_uncompressed_answer(
    http: httpx.AsyncClient, taken: str | None
) -> None:
    for method, path, query in QUESTIONS:
        response, _ = await sent(http, method, path, query, taken)
        assert "content-encoding" not in response.headers


@pytest.mark.asyncio(loop_scope="module")
async def test_a_small_answer_is_compressed_only_for_clients_that_accept_nothing_else(http: httpx.AsyncClient) -> None:
    _, plain = await sent(http, "POST", "/graphql", SMALL, "gzip")
    assert plain == b'{"data":{"log":{"head":300}}}'
    _, packed = await sent(http, "POST", "/graphql", SMALL, "gzip, identity;q=0")
    assert gzip.decompress(packed) == plain
    response, _ = await sent(http, "POST", "/graphql", SMALL, "identity;q=0")
    assert response.status_code == 406


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_of_listed_origins_get_compressed_answers_too(http: httpx.AsyncClient) -> None:
    response, packed = await sent(http, "POST", "/graphql", LARGE, "gzip", origin="https://ours.example")
    assert response.headers["access-control-allow-origin"] == "https://ours.example"
    assert gzip.decompress(packed).startswith(b'{"data"')


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_takes_long_to_compress_has_the_same_content(http: httpx.AsyncClient) -> None:
    query = "{" + "".join(f"a{n}: events(first: 300) {{ nodes {{ data metadata }} }} " for n in range(8)) + "}"
    _, plain = await sent(http, "POST", "/graphql", query, None)
    _, packed = await sent(http, "POST", "/graphql", query, "gzip")
    assert len(plain) > 131_072
    assert gzip.decompress(packed) == plain


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("taken", ["gzip", "gzip, identity;q=0"])
async def test_an_event_stream_arrives_event_by_event_uncompressed(http: httpx.AsyncClient, taken: str) -> None:
    query = "subscription { events(from: BEGINNING) { __typename ... on Event { id data } } }"
    async with open_stream(http, query, accept=EVENTS, headers={"accept-encoding": taken}) as stream:
        assert "content-encoding" not in stream.response.headers
        for _ in range(50):
            await stream.next()
