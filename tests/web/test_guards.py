"""Who may ask: the token, the origin of web pages, and the CORS headers for those that are configured."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.web.front import SESSIONS, Front, error, open_front

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ORIGIN = "https://app.example:8443"
UNKNOWN = f"{SESSIONS}/none"
UNAUTHORIZED = error(
    "Authentication required",
    "UNAUTHORIZED",
    "Send the daemon's token as `Authorization: Bearer TOKEN`",
)
FOREIGN = error("Origin not allowed", "ORIGIN_NOT_ALLOWED", "The page's origin is not among cors_origins")
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-else",
}


@pytest.fixture
async def guarded() -> AsyncIterator[Front]:
    """Return a front that wants a token."""
    async with open_front(token=TOKEN) as opened:
        yield opened


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """Return a front that pages of one origin may call, and that wants no token."""
    async with open_front(cors_origins=[ORIGIN]) as opened:
        yield opened


def words(header: str) -> set[str]:
    """Split a header that is a list."""
    return {word.strip().lower() for word in header.split(",")}


def cors_headers(response: httpx.Response) -> dict[str, str]:
    """Return the headers that tell a browser what pages may do."""
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
    """Without the very token nothing is done, and the answer names the scheme."""
    headers = {} if given is None else {b"Authorization": given.encode("latin-1")}
    response = await guarded.client.request(method, path, headers=headers)
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/json"
    assert TOKEN not in response.text
    assert guarded.events == []


async def test_token_right_passes(guarded: Front) -> None:
    """Whoever has the token can do everything."""
    created = await guarded.create(headers=BEARER)
    assert created.status_code == 200
    path = created.headers["Location"]
    assert (await guarded.client.get(SESSIONS, headers=BEARER)).status_code == 200
    assert (await guarded.client.get(path, headers=BEARER)).status_code == 200
    assert (await guarded.client.delete(path, headers=BEARER)).status_code == 204


@pytest.mark.parametrize("path", ["/nothing", "/openapi.json", "/health/more", "/health/"])
async def test_token_missing_answers_401_for_any_other_path(guarded: Front, path: str) -> None:
    """A path tells nothing to strangers, not even whether it exists."""
    assert (await guarded.client.get(path)).status_code == 401


async def test_health_needs_no_token(guarded: Front) -> None:
    """Whoever watches the daemon needs no secret for it."""
    response = await guarded.client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_no_token_configured_lets_everyone_in(front: Front) -> None:
    """Without a token, which is only possible on loopback addresses, none is asked for."""
    assert (await front.create()).status_code == 200


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
    """A web page of an origin that is not configured can't start or end anything."""
    response = await front.client.request(method, path, headers={"Origin": origin})
    assert (response.status_code, response.json()) == (403, FOREIGN)
    assert cors_headers(response) == {}
    assert front.events == []


async def test_any_origin_is_foreign_when_none_is_configured() -> None:
    """A daemon without origins serves programs, and no web page at all."""
    async with open_front() as front:
        response = await front.create(headers={"Origin": ORIGIN})
        assert (response.status_code, response.json()) == (403, FOREIGN)
        assert front.events == []


async def test_foreign_origin_reads_without_cors_headers(front: Front) -> None:
    """Reading changes nothing, and the page's browser keeps the answer from the page."""
    response = await front.client.get(SESSIONS, headers={"Origin": "https://evil.example"})
    assert response.status_code == 200
    assert cors_headers(response) == {}


async def test_foreign_origin_with_the_token_answers_403() -> None:
    """A token does not make an origin known."""
    async with open_front(token=TOKEN, cors_origins=[ORIGIN]) as front:
        response = await front.create(headers={**BEARER, "Origin": "https://evil.example"})
        assert response.status_code == 403
        assert front.events == []


async def test_configured_origin_creates_and_may_read_where_the_session_is(front: Front) -> None:
    """Pages of a configured origin get the session, and the headers that name it."""
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
    """A page learns why it was refused."""
    response = await front.client.request(method, path, headers={"Origin": ORIGIN})
    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_no_origin_configured_means_no_cors_headers() -> None:
    """Without origins there is no trace of CORS."""
    async with open_front() as front:
        for response in (
            await front.client.options(SESSIONS, headers=PREFLIGHT),
            await front.client.get(SESSIONS, headers={"Origin": ORIGIN}),
            await front.create(),
        ):
            assert response.status_code == 200
            assert cors_headers(response) == {}
            assert "Vary" not in response.headers


# The preflight.


async def test_preflight_passes_without_the_token_and_starts_nothing() -> None:
    """A browser asks before it sends the token: the answer allows what pages need, and only that."""
    async with open_front(token=TOKEN, cors_origins=["https://other.example", ORIGIN]) as front:
        response = await front.client.options(SESSIONS, headers=PREFLIGHT)
        assert front.events == []
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert words(response.headers["Access-Control-Allow-Methods"]) == {"get", "post", "delete"}
    assert words(response.headers["Access-Control-Allow-Headers"]) == {"authorization", "content-type"}
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_preflight_of_a_foreign_origin_allows_nothing(front: Front) -> None:
    """Another origin gets no header that would let its browser go on."""
    headers = {**PREFLIGHT, "Origin": "https://evil.example"}
    assert cors_headers(await front.client.options(SESSIONS, headers=headers)) == {}


async def test_refused_token_is_readable_for_a_configured_origin() -> None:
    """A page that sends a wrong token is told so, not that the network failed."""
    async with open_front(token=TOKEN, cors_origins=[ORIGIN]) as front:
        response = await front.create(headers={"Origin": ORIGIN, "Authorization": "Bearer wrong"})
    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
