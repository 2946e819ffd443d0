"""What browsers and other clients get at /graphql and for the files of its page, built or not."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eventscope.http.graphiql import PLAIN, html, routes, wants_html

ROOT = Path(__file__).parents[2]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SCRIPT = b"console.log(1);" * 100


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as `make web` leaves it."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-DJQAOIs7.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "assets" / "codicon-DCmgc-ay.ttf.gz").write_bytes(gzip.compress(b"font"))
    (tmp_path / "index.html").write_text("<!doctype html><title>Eventscope</title>the full page")
    (tmp_path / "third-party.md").write_text("licences")
    return tmp_path


def app(folder: Path) -> Starlette:
    """The pages as the API serves them: at the address that also answers queries."""

    async def graphql(request: Request) -> Response:
        return html(folder) if wants_html(request) else JSONResponse({"data": {}})

    return Starlette(routes=[*routes(folder), Route("/graphql", graphql, methods=["GET", "HEAD", "POST"])])


def client_of(folder: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app(folder)), base_url="http://eventscope")


@pytest.fixture
async def full(built: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(built) as client:
        yield client


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(tmp_path / "nothing") as client:
        yield client


@pytest.mark.parametrize(
    "accept",
    [
        BROWSER,
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "application/json;q=0.5, text/html",
        "text/html, application/json",
    ],
)
@pytest.mark.parametrize("address", ["/graphql", "/graphql?query={log{head}}"])
async def test_a_client_that_prefers_html_gets_the_page(full: httpx.AsyncClient, accept: str, address: str) -> None:
    answer = await full.get(address, headers={"Accept": accept})
    assert answer.text.endswith("the full page")


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/graphql-response+json, text/html",
        "application/json, text/html;q=0.9",
        "text/html;q=0",
        "text/html;q=much",
        "text/plain",
    ],
)
async def test_a_client_that_does_not_prefer_html_gets_an_answer(full: httpx.AsyncClient, accept: str) -> None:
    answer = await full.get("/graphql?query={log{head}}", headers={"Accept": accept})
    assert answer.json() == {"data": {}}


async def test_a_posted_query_gets_an_answer_even_from_a_browser(full: httpx.AsyncClient) -> None:
    answer = await full.post("/graphql", json={"query": "{ log { head } }"}, headers={"Accept": BROWSER})
    assert answer.json() == {"data": {}}


@pytest.mark.parametrize("folder", [".", "nothing"], ids=["full", "plain"])
async def test_the_page_loads_nothing_but_its_own_files(built: Path, folder: str) -> None:
    async with client_of(built / folder) as client:
        headers = (await client.get("/graphql", headers={"Accept": BROWSER})).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["worker-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == "text/html; charset=utf-8"


async def test_the_page_is_requested_each_time_and_cached_separately_from_answers(full: httpx.AsyncClient) -> None:
    headers = (await full.get("/graphql", headers={"Accept": BROWSER})).headers
    assert headers["Cache-Control"] == "no-cache"
    assert headers["Vary"] == "Accept, Accept-Encoding"


async def test_a_built_file_is_sent_compressed_with_its_type_and_cached_for_ever(full: httpx.AsyncClient) -> None:
    answer = await full.get("/graphql/assets/index-DJQAOIs7.js", headers={"Accept-Encoding": "gzip, br"})
    assert answer.content == SCRIPT
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) < len(SCRIPT)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("taken", ["identity", "gzip;q=0", ""])
async def test_a_client_that_does_not_accept_gzip_gets_a_built_file_uncompressed(
    full: httpx.AsyncClient, taken: str
) -> None:
    answer = await full.get("/graphql/assets/index-DJQAOIs7.js", headers={"Accept-Encoding": taken})
    assert answer.content == SCRIPT
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_a_font_has_the_media_type_of_a_font(full: httpx.AsyncClient) -> None:
    answer = await full.get("/graphql/assets/codicon-DCmgc-ay.ttf")
    assert answer.headers["Content-Type"] == "font/ttf"


@pytest.mark.parametrize(
    "name",
    [
        "gone-DJQAOIs7.js",
        "..%2Findex.html",
        "..%2Fthird-party.md",
        "%2e%2e%5cindex.html",
        ".",
        "index.html",
        "a%00b.js",
    ],
)
async def test_no_other_file_can_be_read(full: httpx.AsyncClient, name: str) -> None:
    answer = await full.get(f"/graphql/assets/{name}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_if_the_page_was_not_built_a_plain_one_says_how_to_build_it(plain: httpx.AsyncClient) -> None:
    answer = await plain.get("/graphql", headers={"Accept": BROWSER})
    assert "was not built" in answer.text
    assert "make web" in answer.text
    assert "Node 20" in answer.text


async def test_the_plain_page_finds_all_its_files(plain: httpx.AsyncClient) -> None:
    text = (await plain.get("/graphql", headers={"Accept": BROWSER})).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(addresses) == 3
    types = [(await plain.get(f"/{address}")).headers["Content-Type"] for address in addresses]
    assert sorted(types) == ["image/svg+xml", "text/css; charset=utf-8", "text/javascript; charset=utf-8"]


async def test_the_plain_page_is_not_cached_once_the_full_one_is_built(plain: httpx.AsyncClient) -> None:
    answer = await plain.get("/graphql/assets/plain.js")
    assert answer.headers["Cache-Control"] == "no-cache"


async def test_a_page_built_while_the_server_runs_is_served_next(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        before = await client.get("/graphql", headers={"Accept": BROWSER})
        (tmp_path / "assets").mkdir()
        (tmp_path / "assets" / "new.js.gz").write_bytes(gzip.compress(SCRIPT))
        (tmp_path / "index.html").write_text("the full page")
        after = await client.get("/graphql", headers={"Accept": BROWSER})
        script = await client.get("/graphql/assets/new.js")
    assert "was not built" in before.text
    assert after.text == "the full page"
    assert script.content == SCRIPT


@pytest.mark.parametrize("source", [ROOT / "web/index.html", PLAIN / "index.html"], ids=["full", "plain"])
def test_no_page_contains_inline_code_or_names_another_host(source: Path) -> None:
    text = source.read_text()
    assert re.findall(r"<script[^>]*>[^<]", text) == []
    assert re.findall(r"<style|\son\w+=|\sstyle=|//", text) == []


@pytest.mark.parametrize("example", sorted((ROOT / "web/src/examples").glob("*.graphql")), ids=lambda path: path.stem)
def test_each_example_is_valid_in_the_schema(example: Path) -> None:
    schema = build_schema((ROOT / "schema/schema.graphql").read_text())
    assert validate(schema, parse(example.read_text())) == []


def test_the_query_on_the_plain_page_is_valid_in_the_schema() -> None:
    schema = build_schema((ROOT / "schema/schema.graphql").read_text())
    (question,) = re.findall(r"<textarea id=\"query\"[^>]*>([^<]+)<", (PLAIN / "index.html").read_text())
    assert validate(schema, parse(question)) == []
