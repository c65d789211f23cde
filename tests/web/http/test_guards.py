"""Who may ask: the token, the origin of web pages, and CORS headers for configured origins."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from greenroom.supervisor.config import InvalidSetting
from greenroom.web.http.guards import HostGuard
from greenroom.web.settings import DaemonSettings
from tests.web.http.abuse import ask
from tests.web.http.front import SESSIONS, Front, error, open_front
from tests.web.http.test_abuse import address_of

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ORIGIN = "https://app.example:8443"
UNKNOWN = f"{SESSIONS}/none"
UNAUTHORIZED = error(
    "Authentication required",
    "UNAUTHORIZED",
    "Send the daemon's token as `Authorization: Bearer TOKEN`",
)
OTHER_HOST = error(
    "Host not allowed",
    "HOST_NOT_ALLOWED",
    "The Host header names another host; allowed_hosts can add names",
)
FOREIGN = error("Origin not allowed", "ORIGIN_NOT_ALLOWED", "The page's origin is not among cors_origins")
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-else",
}


@pytest.fixture
async def guarded() -> AsyncIterator[Front]:
    """A front that requires a token."""
    async with open_front(token=TOKEN) as opened:
        yield opened


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front that pages of one origin may call, and that requires no token."""
    async with open_front(cors_origins=[ORIGIN]) as opened:
        yield opened


def words(header: str) -> set[str]:
    """Split a header's comma-separated list."""
    return {word.strip().lower() for word in header.split(",")}


def cors_headers(response: httpx.Response) -> dict[str, str]:
    """Return the headers that tell a browser what a page may do."""
    return {name: value for name, value in response.headers.items() if name.startswith("access-control")}


# The token.


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer{TOKEN}",
        f"Bearer {TOKEN.upper()}",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer \xe9\xff",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", SESSIONS), ("GET", SESSIONS), ("DELETE", UNKNOWN)])
async def test_token_missing_or_wrong_answers_401_and_starts_nothing(
    guarded: Front, method: str, path: str, given: str | None
) -> None:
    """Without exactly this token nothing is done. The answer names the scheme."""
    headers = {} if given is None else {b"Authorization": given.encode("latin-1")}
    response = await guarded.client.request(method, path, headers=headers)
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/json"
    assert TOKEN not in response.text
    assert guarded.events == []


async def test_token_right_passes(guarded: Front) -> None:
    """A caller with the token may do everything."""
    created = await guarded.create(headers=BEARER)
    assert created.status_code == 200
    path = created.headers["Location"]
    assert (await guarded.client.get(SESSIONS, headers=BEARER)).status_code == 200
    assert (await guarded.client.get(path, headers=BEARER)).status_code == 200
    assert (await guarded.client.delete(path, headers=BEARER)).status_code == 204


@pytest.mark.parametrize("path", ["/nothing", "/health/more", "/health/"])
async def test_token_missing_answers_401_for_any_other_path(guarded: Front, path: str) -> None:
    """Without the token, a path reveals nothing, not even whether it exists."""
    assert (await guarded.client.get(path)).status_code == 401


@pytest.mark.parametrize("path", ["//tiktok/session", "///health", "//"])
async def test_path_with_slashes_before_it_is_not_found(guarded: Front, path: str) -> None:
    """The router would take it for the path itself. A proxy that lets only some paths through would not."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await ask(address_of(guarded.url), request.encode())
    assert answer.startswith(b"HTTP/1.1 404")


async def test_health_needs_no_token(guarded: Front) -> None:
    """Monitoring the daemon needs no secret."""
    response = await guarded.client.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_no_token_configured_lets_everyone_in(front: Front) -> None:
    """Without a token, which is only allowed on loopback addresses, nobody is asked for one."""
    assert (await front.create()).status_code == 200


@pytest.mark.parametrize(
    "given", [f"bearer {TOKEN}", f"BEARER {TOKEN}", f"Bearer   {TOKEN}", f"bEaReR \t{TOKEN}"]
)
async def test_scheme_is_read_in_any_case_and_with_any_blanks(guarded: Front, given: str) -> None:
    """RFC 9110, 11.1: the scheme is case-insensitive, and several blanks may follow it."""
    assert (await guarded.client.get(SESSIONS, headers={"Authorization": given})).status_code == 200


async def test_token_beside_another_answers_401(guarded: Front) -> None:
    """Two credentials count as none, whatever their order."""
    for given in ([BEARER["Authorization"], "Bearer x"], ["Bearer x", BEARER["Authorization"]]):
        headers = [("Authorization", value) for value in given]
        assert (await guarded.client.get(SESSIONS, headers=headers)).status_code == 401


# The host.


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8700",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example.localhost",
        "10.0.0.1",
        "[::2]",
        "localhost, evil.example",
        "localhost@evil.example",
        "localhost:8700:1",
        "[::1",
        "localhost..",
        "localhost...evil",
        "-",
        "x" * 300,
        "a" * 70 + ".example",
        "%",
        "xn--a",
        "*",
        "\\",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", SESSIONS), ("DELETE", UNKNOWN), ("GET", "/health")])
async def test_other_host_answers_403_and_starts_nothing(
    front: Front, method: str, path: str, host: str
) -> None:
    """A page whose host name resolves to this machine sends that name, and is refused."""
    response = await front.client.request(method, path, headers={"Host": host})
    assert (response.status_code, response.json()) == (403, OTHER_HOST)
    assert front.events == []


async def test_other_host_is_refused_for_a_websocket_too(front: Front) -> None:
    """A page may open a WebSocket to whatever its name resolves to."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers = upgrade | {"Host": "evil.example", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert (await front.client.get("/health", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:1",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[0:0:0:0:0:0:0:1]:8700",
    ],
)
async def test_own_host_is_answered(front: Front, host: str) -> None:
    """This includes any name of this machine's loopback, with any port, since ports get forwarded."""
    assert (await front.client.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("settings", "allowed", "refused"),
    [
        ({"bind": "127.0.0.2:1"}, ["127.0.0.2", "localhost"], ["127.0.0.3", "evil.example"]),
        ({"bind": "localhost:1"}, ["127.0.0.1", "localhost"], ["evil.example"]),
        ({"bind": "[::1]:1"}, ["[::1]", "127.0.0.1"], ["[::2]", "::1"]),
        (
            {"bind": "127.0.0.1:1", "allowed_hosts": "Green.example, fe80::1"},
            ["green.example:9", "[fe80::1]", "localhost"],
            ["evil.example", "x.green.example"],
        ),
        ({"bind": "0.0.0.0:1", "token": TOKEN}, ["greenroom", "10.0.0.7", "[::1]:8700"], ["a b", ""]),
        ({"bind": "10.0.0.7:1", "token": TOKEN}, ["10.0.0.7", "any.example"], []),
        (
            {"bind": "0.0.0.0:1", "token": TOKEN, "allowed_hosts": ["greenroom"]},
            ["greenroom:8700", "10.0.0.7", "[::1]", "localhost:8700"],
            ["evil.example", "localhost.evil.example"],
        ),
        (
            {"bind": "[::]:1", "token": TOKEN, "allowed_hosts": ["greenroom"]},
            ["greenroom:8700", "10.0.0.7", "localhost"],
            ["evil.example"],
        ),
        (
            {"bind": "10.0.0.7:1", "token": TOKEN, "allowed_hosts": ["greenroom"]},
            ["greenroom", "10.0.0.7", "localhost"],
            ["evil.example", "10.0.0.8"],
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hosts_follow_from_the_settings(
    settings: dict[str, Any], allowed: list[str], refused: list[str]
) -> None:
    """They are the address, localhost, and the configured ones; with a token, any host."""
    guard = HostGuard(DaemonSettings(**settings))
    assert [host for host in allowed if not guard.allows(host)] == []
    assert [host for host in refused if guard.allows(host)] == []


@pytest.mark.parametrize("hosts", ["a:80", "http://a", "*", "a b", "[::1]", 5, ["a", ""]])
def test_invalid_hosts_are_refused(hosts: object) -> None:
    """Only names and addresses are allowed: a port or a pattern would never match."""
    with pytest.raises((InvalidSetting, TypeError)):
        DaemonSettings(allowed_hosts=hosts)  # type: ignore[arg-type]


# The origin.


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://app.example",
        "http://app.example:8443",
        f"{ORIGIN}.evil.example",
        f"{ORIGIN}/",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", SESSIONS), ("DELETE", UNKNOWN)])
async def test_foreign_origin_answers_403_and_starts_nothing(
    front: Front, method: str, path: str, origin: str
) -> None:
    """A web page of an origin that is not configured can neither start nor end anything."""
    response = await front.client.request(method, path, headers={"Origin": origin})
    assert (response.status_code, response.json()) == (403, FOREIGN)
    assert cors_headers(response) == {}
    assert front.events == []


async def test_any_origin_is_foreign_when_none_is_configured() -> None:
    """A daemon without origins serves programs only, not web pages."""
    async with open_front() as front:
        response = await front.create(headers={"Origin": ORIGIN})
        assert (response.status_code, response.json()) == (403, FOREIGN)
        assert front.events == []


async def test_foreign_origin_reads_without_cors_headers(front: Front) -> None:
    """Reading changes nothing, and the browser withholds the answer from the page."""
    response = await front.client.get(SESSIONS, headers={"Origin": "https://evil.example"})
    assert response.status_code == 200
    assert cors_headers(response) == {}


async def test_foreign_origin_with_the_token_answers_403() -> None:
    """The token doesn't make the origin a known one."""
    async with open_front(token=TOKEN, cors_origins=[ORIGIN]) as front:
        response = await front.create(headers={**BEARER, "Origin": "https://evil.example"})
        assert response.status_code == 403
        assert front.events == []


async def test_configured_origin_creates_and_may_read_where_the_session_is(front: Front) -> None:
    """Pages of a configured origin get the session, and may read the headers that name it."""
    response = await front.create(headers={"Origin": ORIGIN})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = words(response.headers["Access-Control-Expose-Headers"])
    assert exposed == {"location", "x-session-id", "retry-after", "x-request-id"}
    assert words(response.headers["Vary"]) == {"origin"}
    deleted = await front.client.delete(response.headers["Location"], headers={"Origin": ORIGIN})
    assert (deleted.status_code, deleted.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", UNKNOWN, 404), ("PUT", SESSIONS, 405)])
async def test_configured_origin_may_read_refusals(front: Front, method: str, path: str, status: int) -> None:
    """A page can read why it was refused."""
    response = await front.client.request(method, path, headers={"Origin": ORIGIN})
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_no_origin_configured_means_no_cors_headers() -> None:
    """Without configured origins, there are no CORS headers at all."""
    async with open_front() as front:
        for response in (
            await front.client.options(SESSIONS, headers=PREFLIGHT),
            await front.client.get(SESSIONS, headers={"Origin": ORIGIN}),
            await front.create(),
        ):
            assert response.status_code == 200
            assert cors_headers(response) == {}
            assert "Vary" not in response.headers


# Preflight requests.


async def test_preflight_passes_without_the_token_and_starts_nothing() -> None:
    """A browser asks before it sends the token. The answer allows what pages need, and no more."""
    async with open_front(token=TOKEN, cors_origins=["https://other.example", ORIGIN]) as front:
        response = await front.client.options(SESSIONS, headers=PREFLIGHT)
        assert front.events == []
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert words(response.headers["Access-Control-Allow-Methods"]) == {"get", "post", "patch", "delete"}
    assert words(response.headers["Access-Control-Allow-Headers"]) == {"authorization", "content-type"}
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_preflight_of_a_foreign_origin_allows_nothing(front: Front) -> None:
    """Pages of another origin get no header that would let their browser go on."""
    headers = {**PREFLIGHT, "Origin": "https://evil.example"}
    assert cors_headers(await front.client.options(SESSIONS, headers=headers)) == {}


async def test_refused_token_is_readable_for_a_configured_origin() -> None:
    """A page that sends a wrong token sees the refusal, not a network failure."""
    async with open_front(token=TOKEN, cors_origins=[ORIGIN]) as front:
        response = await front.create(headers={"Origin": ORIGIN, "Authorization": "Bearer wrong"})
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
