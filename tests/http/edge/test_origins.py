"""Which pages may send requests, whatever browsers say about them. No I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.http.edge.origins import Origins

HOSTS = (
    st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z][a-z0-9-]{0,20}){1,3}", fullmatch=True)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
)
SCHEMES = st.sampled_from([("http", 80), ("https", 443)])
PORTS = st.integers(1, 65535)
OURS = (b"127.0.0.1:8000",)


def foreign(origins: Origins, origin: str | None, *, site: str | None = None, hosts: tuple[bytes, ...] = OURS) -> bool:
    return origins.is_foreign(
        None if site is None else site.encode(), None if origin is None else origin.encode("latin-1", "replace"), hosts
    )


@given(host=HOSTS, scheme=SCHEMES, port=PORTS)
def test_a_page_of_the_requested_host_is_ours_with_any_scheme_and_with_or_without_its_port(
    host: str, scheme: tuple[str, int], port: int
) -> None:
    name, default = scheme
    assert not foreign(Origins([]), f"{name}://{host}:{port}", hosts=(f"{host.upper()}:{port}".encode(),))
    assert not foreign(Origins([]), f"{name}://{host}", hosts=(f"{host}:{default}".encode(),))
    assert not foreign(Origins([]), f"{name}://{host}", hosts=(host.encode(),))
    assert not foreign(Origins([]), f"{name}://{host}", hosts=(b"10.0.0.1:1", host.encode()))
    if port != default:
        assert foreign(Origins([]), f"{name}://{host}:{port}", hosts=(host.encode(),))


@given(host=HOSTS, scheme=SCHEMES, port=PORTS)
def test_only_a_listed_origin_may_query(host: str, scheme: tuple[str, int], port: int) -> None:
    name, default = scheme
    listed = Origins([f"{name.upper()}://{host.upper()}:{port}/"])
    said = f"{name}://{host}" if port == default else f"{name}://{host}:{port}"
    for site in (None, "cross-site", "same-site"):
        assert not foreign(listed, said, site=site)
        for other in (f"{name}://{host}.evil", f"{name}://{host}:{port % 65535 + 1}", f"ws://{host}:{port}", "null"):
            assert foreign(listed, other, site=site)


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "http://", "http://evil.example", "https://evil.example:8000", "http://127.0.0.1", "file://"),
        *("http://127.0.0.1:8001", "http://127.0.0.1:8000.evil.example", "http://127.0.0.1.evil.example:8000"),
        *("http://[::1]:8000", "http://[", "http://127.0.0.1:x", "127.0.0.1:8000", "//127.0.0.1:8000x"),
        *("http://ours.example.evil", "http://evilours.example", "https://ours.example, http://evil.example"),
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("site", [None, "cross-site"])
def test_any_other_origin_is_foreign(origin: str, site: str | None) -> None:
    assert foreign(Origins(["https://ours.example"]), origin, site=site)


def test_a_request_without_these_headers_is_not_from_a_page() -> None:
    assert not foreign(Origins([]), None)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything", ""])
def test_a_page_that_the_browser_calls_foreign_is_foreign_even_without_an_origin(site: str) -> None:
    assert foreign(Origins(["https://ours.example"]), None, site=site)


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_page_that_the_browser_calls_our_own_is_ours_whatever_proxy_is_in_front(site: str) -> None:
    assert not foreign(Origins([]), "https://public.example", site=site)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example"])
def test_a_star_lets_all_pages_query(origin: str | None) -> None:
    assert not foreign(Origins(["*"]), origin, site="cross-site")


@given(st.binary(max_size=500), st.none() | st.binary(max_size=30), st.binary(max_size=100))
def test_no_header_makes_it_fail(origin: bytes, site: bytes | None, host: bytes) -> None:
    assert Origins(["https://ours.example"]).is_foreign(site, origin, (host,)) in (True, False)
