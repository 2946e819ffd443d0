"""The API behind the proxies of docs/behind-a-proxy.md, configured with the files that the page shows."""

import logging
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest
from nats.aio.client import Client
from playwright.async_api import async_playwright, expect
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from eventscope.http.graphiql import BUILT
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support import processes
from tests.support.api_server import RunningApi, running_api
from tests.support.clients import browser as chromium
from tests.support.clients.event_stream import Stream, open_stream
from tests.support.clients.websocket import ACK, INIT, PROTOCOL
from tests.support.requirements import leave_out
from tests.support.sample_log import fill
from tests.support.until import until

PAGE = (Path(__file__).parents[2] / "docs/behind-a-proxy.md").read_text()
FILES = {kind: re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[0] for kind in ("nginx", "caddy")}
SETTINGS = dict(re.findall(r"^EVENTSCOPE_(\w+)=(.*)$", PAGE, re.MULTILINE))
NAME: Final = "logs.example.org"
BEHIND: Final = "127.0.0.1:8000"
FEED = "subscription { events { __typename ... on Event { id } } }"
NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr; %s
events {}
http {
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  %s
}
"""
CADDY = f"{{\n admin off\n auto_https disable_redirects\n default_sni {NAME}\n}}\n%s"


@dataclass(frozen=True, slots=True)
class Public:
    """What people see: the proxy, and the API behind it."""

    port: int
    api: RunningApi

    @property
    def origin(self) -> str:
        """The origin of its pages."""
        return f"https://{NAME}:{self.port}"

    @asynccontextmanager
    async def client(self, address: str = "127.0.0.2") -> AsyncIterator[httpx.AsyncClient]:
        """A client whose own address is not the proxy's."""
        transport = httpx.AsyncHTTPTransport(verify=trusting(), local_address=address)
        async with httpx.AsyncClient(transport=transport, timeout=60.0) as http:
            http.headers["host"] = f"{NAME}:{self.port}"
            http.base_url = httpx.URL(f"https://127.0.0.1:{self.port}/eventscope/")
            yield http

    async def shakes_hands(self) -> int:
        """The status of the answer to a WebSocket of our own page; 101 if the connection works."""
        try:
            async with connect(
                f"wss://{NAME}:{self.port}/eventscope/graphql",
                host="127.0.0.1",
                port=self.port,
                ssl=trusting(),
                origin=Origin(self.origin),
                subprotocols=[Subprotocol(PROTOCOL)],
                proxy=None,
            ) as raw:
                await raw.send(orjson.dumps(INIT).decode())
                assert orjson.loads(await raw.recv()) == ACK
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code


def trusting() -> ssl.SSLContext:
    """A TLS context that trusts the certificate that the test made."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds `pem` and `key`."""
    if shutil.which("openssl") is None:
        leave_out("there is no openssl on this machine")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-out", folder / "pem", "-keyout", folder / "key"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@asynccontextmanager
async def proxy(kind: str, text: str, certificate: Path, folder: Path) -> AsyncIterator[int]:
    """A proxy with a file like that of the page; gives the port it listens on."""
    command = shutil.which(kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if command is None:
        leave_out(f"there is no {kind} on this machine; install it to test the page about proxies")
    port = free()
    if kind == "nginx":
        text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
        text = re.sub(rf"/etc/ssl/{NAME}\.(pem|key)", rf"{certificate}/\1", text)
        (folder / "nginx.conf").write_text(NGINX % ("user root;" if os.getuid() == 0 else "", text))
        arguments: list[str | Path] = [command, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]
    else:
        tls = f"https://{NAME}:{port} {{\n tls {certificate}/pem {certificate}/key\n"
        (folder / "Caddyfile").write_text(CADDY % text.replace(f"{NAME} {{\n", tls))
        arguments = [command, "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]

    def up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    async with processes.child_process(arguments, {"HOME": str(folder), "XDG_DATA_HOME": str(folder)}) as process:
        await until(lambda: up() or process.returncode is not None)
        assert process.returncode is None
        yield port


@asynccontextmanager
async def published(
    kind: str, settings: Settings, certificate: Path, folder: Path, text: str = "", **more: object
) -> AsyncIterator[Public]:
    """The API with the settings of the page, behind such a proxy."""
    listed = {name.lower(): tuple(value.split(",")) for name, value in SETTINGS.items()}
    async with running_api(settings.model_copy(update={**listed, **more})) as api:
        text = (text or FILES[kind]).replace(BEHIND, f"127.0.0.1:{api.http.base_url.port}")
        async with proxy(kind, text, certificate, folder) as port:
            yield Public(port, api)


@pytest.fixture(params=FILES)
async def public(
    request: pytest.FixtureRequest,
    settings: Settings,
    log: Log,
    client: Client,
    certificate: Path,
    tmp_path: Path,
) -> AsyncIterator[Public]:
    async with published(request.param, settings, certificate, tmp_path, connections_per_address=2) as public:
        yield public


async def stored(log: Log, *numbers: int) -> None:
    await fill(log, [orjson.dumps({"type": "a.b", "messageId": f"m{n}"}) for n in numbers], {"*": 0})


async def caught_up(stream: Stream) -> None:
    while (await stream.next())["events"]["__typename"] != "CaughtUp":
        pass


async def test_everything_is_available_below_the_prefix_and_links_stay_there(public: Public, log: Log) -> None:
    await stored(log, *range(50))
    async with public.client() as http:
        query = {"query": "{ events(first: 50) { nodes { id data } } }"}
        answer = await http.post("graphql", json=query)
        assert len(answer.json()["data"]["events"]["nodes"]) == 50
        assert answer.headers["content-encoding"] == "gzip"
        assert (await http.get("events/stats")).json()["totalEvents"] == 50
        for page in ("", "graphql/"):
            response = await http.get(page, headers={"accept": "text/html"})
            at = httpx.URL(f"{public.origin}/eventscope/{page}").join(response.headers["location"])
            assert str(at) == f"{public.origin}/eventscope/graphql"
        for inside in ("metrics", "metrics/", "healthz", "readyz"):
            assert (await http.get(inside)).status_code == 404


async def test_a_page_of_ours_opens_websockets(public: Public) -> None:
    assert await public.shakes_hands() == 101


async def test_event_streams_arrive_event_by_event(public: Public, log: Log) -> None:
    async with public.client() as http, open_stream(http, FEED, path="graphql") as stream:
        await caught_up(stream)
        for n in range(3):
            await stored(log, n)
            while (delivery := (await stream.next())["events"])["__typename"] != "Event":
                pass
            assert delivery["id"] == f"m{n}"


async def test_limits_count_the_client_and_not_the_proxy_whatever_the_client_claims(public: Public) -> None:
    async def statuses(http: httpx.AsyncClient, count: int, forwarded: str) -> list[int]:
        if not count:
            return []
        async with open_stream(http, FEED, path="graphql", headers={"x-forwarded-for": forwarded % count}) as one:
            return [one.response.status_code, *await statuses(http, count - 1, forwarded)]

    async with (
        public.client("127.0.0.2") as http,
        public.client("127.0.0.3") as other,
        open_stream(other, FEED, path="graphql") as one,
        open_stream(other, FEED, path="graphql") as two,
    ):
        assert [one.response.status_code, two.response.status_code] == [200, 200]
        assert await statuses(http, 3, "198.51.100.%d") == [200, 200, 503]


@pytest.mark.browser
async def test_the_page_works_in_a_browser(public: Public) -> None:
    if not (BUILT / "index.html").is_file():
        leave_out("the page was not built; run `make web` with Node 20.19 or newer")
    executable, wrong = chromium.path(), list[str]()
    flags = [*chromium.FLAGS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--ignore-certificate-errors"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=flags)
        page = await browser.new_page()
        page.set_default_timeout(chromium.PATIENCE)
        page.on("response", lambda one: wrong.append(f"{one.status} {one.url}") if one.status > 399 else None)
        page.on("requestfailed", lambda one: wrong.append(one.url))
        await page.goto(f"{public.origin}/eventscope/")
        await page.get_by_role("tab", name="Live").click()
        await expect(page.locator(".graphiql-query-editor .view-lines")).to_contain_text(
            " Live", timeout=chromium.PATIENCE
        )
        await page.get_by_role("button", name="Execute query").click()
        answer = page.locator(".graphiql-response .view-lines")
        await expect(answer).to_contain_text('"CaughtUp"', timeout=chromium.PATIENCE)
        assert page.url.startswith(f"{public.origin}/eventscope/graphql")
        await browser.close()
    assert wrong == []


async def test_if_the_proxy_does_not_pass_on_the_host_the_log_names_the_setting_that_helps(
    settings: Settings, log: Log, client: Client, certificate: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    without = FILES["nginx"].replace("proxy_set_header Host $http_host;", "")
    (tmp_path / "first").mkdir()
    async with published("nginx", settings, certificate, tmp_path / "first", without) as public:
        assert await public.shakes_hands() == 403
        assert f"Pages of '{public.origin}' may not use '127.0.0.1:" in caplog.text
        assert "EVENTSCOPE_ORIGINS" in caplog.text
    forwarding = FILES["nginx"].replace("set_header Host $http_host", "set_header X-Forwarded-Host $http_host")
    (tmp_path / "second").mkdir()
    async with published("nginx", settings, certificate, tmp_path / "second", forwarding) as public:
        assert await public.shakes_hands() == 101


async def test_if_nothing_names_the_public_host_the_log_says_so(
    settings: Settings, log: Log, client: Client, certificate: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with published("nginx", settings, certificate, tmp_path, hosts=()) as public, public.client() as http:
        assert (await http.get("events/stats")).status_code == 421
        assert "add the name to EVENTSCOPE_HOSTS" in caplog.text
        assert (await http.get("graphql", headers={"accept": "text/html"})).status_code == 421
