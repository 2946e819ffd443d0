"""Proxies from the environment: never used to reach this machine; named, without secrets, when a request fails."""

import os
import subprocess
import sys

import pytest

from eventscope.client.service import EventsService
from eventscope.errors import CannotStart, Unavailable
from eventscope.processes.ports import HOST, free
from eventscope.proxies import proxy_to, through
from eventscope.subscriptions.nats.diagnostics import monitoring_facts

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "api.localhost", "[::1]", "0.0.0.0", "[::]"]
)
@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
def test_this_machine_is_reached_directly(host: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES[:3]:
        monkeypatch.setenv(name, "http://proxy.example:3128")
    assert proxy_to(f"{scheme}://{host}:8000/graphql") is None


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://api.example:8000", {}, None),
        ("http://api.example:8000", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("ws://api.example:8000", {"HTTP_PROXY": "p:1"}, "http://p:1"),
        ("wss://api.example", {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://s:1"}, "http://s:1"),
        ("https://api.example", {"HTTP_PROXY": "http://p:1", "ALL_PROXY": "socks5://a:1"}, "socks5://a:1"),
        ("https://api.example", {"ALL_PROXY": "socks5://a:1", "NO_PROXY": "xample"}, "socks5://a:1"),
        ("https://api.example", {"ALL_PROXY": "socks5://a:1", "NO_PROXY": "other,.example"}, None),
        ("https://api.example", {"HTTPS_PROXY": "http://s:1", "NO_PROXY": "*"}, None),
    ],
)
def test_the_environment_names_the_proxy_for_an_address(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_to(url) == proxy


def test_a_proxy_is_named_without_its_password() -> None:
    assert through(None) == ""
    assert through("http://me:hunter2@p:1") == " through the proxy http://me:***@p:1 that the environment names"


async def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:hunter2@{HOST}:{free()}")
    words = r"through the proxy http://me:\*\*\*@127.0.0.1:\d+ that the environment names"
    async with EventsService.connect(api_url="http://api.example:8000") as service:
        with pytest.raises(Unavailable, match=words):
            await service.get_event_history()
    with pytest.raises(Unavailable, match=words):
        await monitoring_facts("http://nats.example:8222")


@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@p.example:1", "ftp://me:hunter2@p.example:1"])
async def test_a_proxy_of_an_unsupported_kind_is_refused(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(CannotStart, match=r"cannot be reached through the proxy \w+://me:\*\*\*@p.example:1"):
        async with EventsService.connect(api_url="http://api.example:8000"):
            pass


@pytest.mark.processes
@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@p.example:1", "ftp://me:hunter2@p.example:1"])
def test_a_command_reports_an_unusable_proxy_in_one_sentence(proxy: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eventscope", "tail", "--api", "http://api.example:8000"],
        env={**os.environ, "ALL_PROXY": proxy},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
