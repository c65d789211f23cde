"""Every error code is reached over HTTP, in the one shape, and is described where it comes."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import h11
import msgspec
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from greenroom.actors.errors import (
    ActionFailed,
    ActionTimedOut,
    AmbiguousTarget,
    CloneFailed,
    CreationTimedOut,
    DialogOpen,
    GreenroomError,
    NavigationFailed,
    NoSuchFile,
    NoSuchPage,
    NotAProfile,
    OverBudget,
    Overloaded,
    PageCrashed,
    PageTooLarge,
    ProfileLocked,
    ProfileNotReplaced,
    ResourcesExhausted,
    StaleRef,
    StorageFailed,
    UpstreamUnreachable,
)
from greenroom.actors.lifecycle import WatchMode
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.supervisor.history import History, open_history
from greenroom.supervisor.secret import Secret
from greenroom.web.http.app import create_app
from greenroom.web.http.bodies import LargeBodies
from greenroom.web.http.errors import CATALOGUE
from greenroom.web.http.limits import Limits
from greenroom.web.http.openapi import describe_api
from greenroom.web.http.schemas import TikTokSessionErrorResponse
from greenroom.web.http.serving import open_server
from greenroom.web.http.shares import MAX_STREAMS_OF_READER
from greenroom.web.http.tokens import Scope, Token, Tokens
from greenroom.web.metrics.metrics import Metrics
from tests.web.http.abuse import connect, read_all
from tests.web.http.front import ALL, SESSIONS, Front, make_settings, open_client, open_front, until
from tests.web.http.test_abuse import address_of
from tests.web.http.websockets import open_socket

ID = "my.id-1"
ONE = f"{SESSIONS}/{{session_id}}"
COOKIES = b"# Netscape HTTP Cookie File\n.tiktok.com\tTRUE\t/\tTRUE\t4102444800\tsessionid\tx\n"
SECRET = "a-secret-of-enough-characters"
BEARER = {"Authorization": f"Bearer {SECRET}"}
CLICK = {"kind": "click", "target": "#a"}


@attrs.frozen
class Answer:
    """An answer as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


@attrs.frozen(kw_only=True)
class Way:
    """A way to reach an error: what to send where, after what has been done, to which daemon."""

    method: str = "GET"
    path: str = SESSIONS
    """As in the description; the session is the one that there is."""
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    version: str = "1.1"
    machine: Callable[[], FakeMachine] = FakeMachine
    before: Callable[[Front, str], contextlib.AbstractAsyncContextManager[Any]] | None = None
    """Entered before the request, with the front and the path of a session; gives headers, or an address."""
    target: str | None = None
    """Where to send it, if that is not the path."""
    is_first: bool = False
    """Whether there is no session before that."""
    breaks_off: bool = False
    """Whether the end of the body is not sent."""


def creating(error: GreenroomError) -> Way:
    """Return a way to an error of creating a session."""
    return Way(method="POST", machine=lambda: FakeMachine(clone_error=error))


def acting(error: GreenroomError) -> Way:
    """Return a way to an error of a command."""
    return Way(
        method="POST",
        path=f"{ONE}/actions",
        body=msgspec.json.encode(CLICK),
        machine=lambda: FakeMachine(action_error=error),
        before=live,
    )


def importing(body: bytes, **machine: Any) -> Way:
    """Return a way to an error of an import."""
    return Way(
        method="POST", path="/profiles/{name}/import", body=body, machine=lambda: FakeMachine(**machine)
    )


@contextlib.asynccontextmanager
async def live(front: Front, path: str) -> AsyncIterator[None]:
    """Do nothing more: the session is live."""
    yield


@contextlib.asynccontextmanager
async def deleted(front: Front, path: str) -> AsyncIterator[None]:
    """Delete the session."""
    await front.client.delete(path)
    yield


@contextlib.asynccontextmanager
async def stopped(front: Front, path: str) -> AsyncIterator[None]:
    """Stop the supervisor, as at the end of the daemon."""
    await front.supervisor.stop()
    yield


@contextlib.asynccontextmanager
async def held(front: Front, path: str) -> AsyncIterator[None]:
    """Take control of the session."""
    await front.client.post(f"{path}/control", json={"holder": "human"})
    yield


@contextlib.asynccontextmanager
async def linked(front: Front, path: str) -> AsyncIterator[dict[str, str]]:
    """Make a link, and come with it."""
    token = (await front.client.post(f"{path}/links", json={})).json()["token"]
    yield {"Authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def busy(front: Front, path: str) -> AsyncIterator[None]:
    """Have as many commands wait as may."""
    front.machine.inspect_s = 3600
    async with trio.open_nursery() as nursery:
        for _ in range(17):
            nursery.start_soon(front.supervisor.handle(path.rpartition("/")[2]).judge)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def watched(front: Front, path: str) -> AsyncIterator[None]:
    """Have as many watch as may."""
    handle = front.supervisor.handle(path.rpartition("/")[2])
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(50):
            await stack.enter_async_context(handle.watch("Ada", WatchMode.VIEW))
        yield


@contextlib.asynccontextmanager
async def streaming(front: Front, path: str) -> AsyncIterator[str]:
    """Have as many streams open as a token that reads may have."""
    token = Token(name="reader", secret=Secret(SECRET), scope=Scope.READ)
    async with (
        serving(front, tokens=Tokens((token,))) as url,
        open_client(url) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(MAX_STREAMS_OF_READER):
            await stack.enter_async_context(client.stream("GET", "/events", headers=BEARER))
        yield url


@contextlib.asynccontextmanager
async def attached(front: Front, path: str) -> AsyncIterator[dict[str, str]]:
    """Have as many clients attached as may be, and come with a handshake."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(open_socket(f"{front.url}{path}/playwright"))
        yield {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }


@contextlib.asynccontextmanager
async def launching(front: Front, path: str) -> AsyncIterator[None]:
    """Have a session that is being created, and end it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(front.create)
        await until(lambda: bool(front.machine.browsers))
        yield
        await front.client.delete(f"{SESSIONS}/{next(iter(front.machine.browsers))}")


@contextlib.asynccontextmanager
async def deleting(front: Front, path: str) -> AsyncIterator[None]:
    """Delete the next session while it is being created."""

    async def delete() -> None:
        await until(lambda: bool(front.machine.browsers))
        await front.client.delete(f"{SESSIONS}/{next(iter(front.machine.browsers))}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(delete)
        yield


@contextlib.asynccontextmanager
async def hurried(front: Front, path: str) -> AsyncIterator[str]:
    """Give clients little time."""
    async with serving(front, Limits(body_s=0.05)) as url:
        yield url


@contextlib.asynccontextmanager
async def cramped(front: Front, path: str) -> AsyncIterator[str]:
    """Have no room for large bodies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "greenroom.web.http.serving.LargeBodies", lambda admits: LargeBodies(admits=admits, room_bytes=0)
        )
        async with serving(front, Limits()) as url:
            yield url


@contextlib.asynccontextmanager
async def without_mcp(front: Front, path: str) -> AsyncIterator[None]:
    """Lack the SDK."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenroom.web.http.mcp_route._MODULE", "greenroom.web.mcp.none")
        yield


@contextlib.asynccontextmanager
async def unreadable(front: Front, path: str) -> AsyncIterator[str]:
    """Have a history whose file is a directory."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_history(Path(folder), days=1) as history, serving(front, history=history) as url:
            yield url


def serving(
    front: Front, limits: Limits | None = None, tokens: Tokens = ALL, history: History | None = None
) -> contextlib.AbstractAsyncContextManager[str]:
    """Serve the front's sessions at another address."""
    app = create_app(front.supervisor, make_settings(), tokens, Metrics(front.supervisor), history)
    return open_server(app, "127.0.0.1:0", limits=limits or Limits())


def limited(**limits: Any) -> Callable[[Front, str], contextlib.AbstractAsyncContextManager[str]]:
    """Return a step that uses up what a token is for."""

    @contextlib.asynccontextmanager
    async def use_up(front: Front, path: str) -> AsyncIterator[str]:
        token = Token(name="few", secret=Secret(SECRET), scope=Scope.CONTROL, **limits)
        async with serving(front, Limits(), Tokens((token,))) as url, open_client(url) as client:
            used = await client.post(SESSIONS, headers=BEARER)
            assert used.status_code == 200
            yield url
            await front.client.delete(used.headers["Location"])

    return use_up


@contextlib.asynccontextmanager
async def unremovable(front: Front, path: str) -> AsyncIterator[None]:
    """Forget at the end what is left of the session, as the fake machine's disk goes with it."""
    yield
    front.machine.clones.clear()


# Each code, and how to reach it.
WAYS: Mapping[str, Way] = {
    "BAD_REQUEST": Way(headers={"Host": "localhost\r\nHost: localhost"}),
    "UNAUTHORIZED": Way(headers={"Authorization": "Bearer gl1.unknown.link"}),
    "HOST_NOT_ALLOWED": Way(headers={"Host": "evil.example"}),
    "ORIGIN_NOT_ALLOWED": Way(method="POST", headers={"Origin": "https://evil.example"}),
    "NOT_ALLOWED": Way(before=linked),
    "TOO_MANY_REQUESTS": Way(headers=BEARER, before=limited(requests_per_minute=1), is_first=True),
    "TOO_MANY_STREAMS": Way(path="/events", headers=BEARER, before=streaming, is_first=True),
    "TOO_MANY_SESSIONS": Way(method="POST", headers=BEARER, before=limited(max_sessions=1), is_first=True),
    "NOT_FOUND": Way(path=ONE, target=f"{SESSIONS}/a%2Fb"),
    "METHOD_NOT_ALLOWED": Way(method="PUT"),
    "REQUEST_TIMEOUT": Way(method="POST", body=b"{}", breaks_off=True, before=hurried, is_first=True),
    "REQUEST_ENTITY_TOO_LARGE": Way(method="POST", body=b" " * 70_000),
    "REQUEST_URI_TOO_LARGE": Way(target=f"{SESSIONS}?{'a' * 20_000}"),
    "REQUEST_HEADER_FIELDS_TOO_LARGE": Way(headers={"X-Large": "a" * 20_000}),
    "UPGRADE_REQUIRED": Way(path=f"{ONE}/watch", before=live),
    "MCP_NOT_INSTALLED": Way(method="POST", path="/mcp", before=without_mcp),
    "NOT_IMPLEMENTED": Way(method="POST", headers={"Transfer-Encoding": "gzip"}),
    "SERVICE_UNAVAILABLE": Way(
        method="POST", path=f"{ONE}/files", body=b" " * 70_000, before=cramped, is_first=True
    ),
    "HTTP_VERSION_NOT_SUPPORTED": Way(version="2.0"),
    "INTERNAL_ERROR": Way(method="POST", machine=lambda: FakeMachine(clone_error=OSError("/home/alice"))),
    "INVALID_REQUEST": Way(method="POST", body=b'{"ttl": 3}'),
    "NOT_LOGGED_IN": Way(method="POST", machine=lambda: FakeMachine(page=LoginState.LOGGED_OUT)),
    "SESSION_DELETED": Way(
        method="POST", machine=lambda: FakeMachine(launch_s=3600), before=deleting, is_first=True
    ),
    "NOT_A_PROFILE": creating(NotAProfile("a cat")),
    "USER_DATA_LOCKED": creating(ProfileLocked()),
    "SESSION_TIMEOUT": creating(CreationTimedOut(30.0)),
    "UPSTREAM_UNREACHABLE": creating(UpstreamUnreachable("refused")),
    "CAPACITY_EXHAUSTED": Way(method="POST", before=live),
    "OVERLOADED": creating(Overloaded(retry_after_s=3)),
    "RESOURCES_EXHAUSTED": creating(ResourcesExhausted("no memory")),
    "OVER_BUDGET": creating(OverBudget("too much")),
    "NOT_READY": Way(path="/ready", machine=lambda: FakeMachine(clone_error=CloneFailed("no"))),
    "DRAINING": Way(before=stopped),
    "PROFILE_NOT_FOUND": Way(path="/profiles/{name}", target="/profiles/none"),
    "PROFILE_NOT_REPLACED": importing(COOKIES, commit_error=ProfileNotReplaced("no space")),
    "INVALID_LOGIN_FILE": importing(b"a cat"),
    "SESSION_NOT_FOUND": Way(path=ONE),
    "NOT_LIVE": Way(
        path=f"{ONE}/playwright", machine=lambda: FakeMachine(launch_s=3600), before=launching, is_first=True
    ),
    "SESSION_ENDED": Way(path=f"{ONE}/html", before=deleted),
    "CLEANUP_INCOMPLETE": Way(
        method="DELETE",
        path=ONE,
        machine=lambda: FakeMachine(remove_error=CloneFailed("It can't be removed"), keeps_clones=True),
        before=unremovable,
    ),
    "HISTORY_NOT_KEPT": Way(path="/tiktok/history"),
    "HISTORY_UNAVAILABLE": Way(path="/tiktok/history", before=unreadable),
    "BUNDLE_NOT_FOUND": Way(path=f"{ONE}/bundle", before=live),
    "ACTION_FAILED": acting(ActionFailed("no")),
    "ACTION_TIMEOUT": acting(ActionTimedOut("hangs")),
    "AMBIGUOUS_TARGET": acting(AmbiguousTarget("two")),
    "STALE_REF": acting(StaleRef("stale")),
    "NAVIGATION_FAILED": acting(NavigationFailed("reset")),
    "PAGE_CRASHED": acting(PageCrashed("crashed")),
    "DIALOG_OPEN": acting(DialogOpen("alert")),
    "PAGE_NOT_FOUND": acting(NoSuchPage("p9")),
    "FILE_NOT_FOUND": acting(NoSuchFile("a")),
    "PAGE_TOO_LARGE": acting(PageTooLarge("large")),
    "STORAGE_FAILED": acting(StorageFailed("full")),
    "CONTROL_HELD": Way(method="POST", path=f"{ONE}/actions", body=msgspec.json.encode(CLICK), before=held),
    "TOO_MANY_COMMANDS": Way(path=f"{ONE}/html", before=busy),
    "TOO_MANY_CLIENTS": Way(path=f"{ONE}/playwright", before=attached),
    "TOO_MANY_WATCHERS": Way(path=f"{ONE}/live.jpg", before=watched),
}


async def send(way: Way, url: str, path: str, more: Mapping[str, str]) -> Answer:
    """Send a way's request as it is, without a client that would correct it, and read the answer."""
    headers = {"Host": "localhost", "X-Request-Id": ID, "Connection": "close", **way.headers, **more}
    if way.body or way.method == "POST":
        headers.setdefault("Content-Length", str(len(way.body)))
    if "Transfer-Encoding" in headers:
        del headers["Content-Length"]
    target = way.target or way.path.replace(ONE, path).replace("{name}", "shop")
    lines = [f"{way.method} {target} HTTP/{way.version}", *(f"{name}: {headers[name]}" for name in headers)]
    async with await connect(address_of(url)) as stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        with contextlib.suppress(trio.BrokenResourceError):  # it may be refused by its headers
            await stream.send_all(way.body[: len(way.body) - way.breaks_off])
        return parsed(await read_all(stream), way.method)


def parsed(sent: bytes, method: str) -> Answer:
    """Return an answer that ends with its connection."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.receive_data(sent)
    client.receive_data(b"")
    answer, body = client.next_event(), b""
    assert isinstance(answer, h11.Response)
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Answer(answer.status_code, headers, body)


def test_every_code_has_a_way() -> None:
    """If you add a code, show here how a client gets it."""
    assert WAYS.keys() == CATALOGUE.keys()


@pytest.mark.parametrize("code", WAYS)
async def test_code_comes_in_the_one_shape_with_its_id_and_is_described(code: str) -> None:
    """Its status and text are those of the catalogue; the id is the client's, in the log too."""
    way = WAYS[code]
    async with open_front(way.machine(), max_sessions=1) as front, contextlib.AsyncExitStack() as stack:
        url, path = front.url, f"{SESSIONS}/none"
        more: Mapping[str, str] = {}
        if way.before is not None:
            if not way.is_first:
                path = await front.establish()
            given = await stack.enter_async_context(way.before(front, path))
            url, more = (given, {}) if isinstance(given, str) else (url, given or {})
            if way.before is launching:
                path = f"{SESSIONS}/{next(iter(front.machine.browsers))}"
        with capture_logs() as logs:
            answer = await send(way, url, path, more)
    known = CATALOGUE[code]
    assert (answer.status, answer.headers["content-type"]) == (known.status, "application/json"), answer.body
    body = msgspec.json.decode(answer.body, type=TikTokSessionErrorResponse)
    details = body.error_details
    assert (details.code, body.message, details.retryable) == (code, known.message, known.is_retryable)
    assert details.details
    assert details.request_id == answer.headers["x-request-id"] == ID
    told = [entry for entry in logs if entry.get("request_id") == ID and entry["event"] != "audit"]
    assert [(entry["status"], entry["code"]) for entry in told] == [(known.status, code)]
    described = describe_api(with_token=True)
    operation = described["paths"][way.path].get(way.method.lower())
    if operation is None:
        assert code == "METHOD_NOT_ALLOWED"
        operation = described["paths"][way.path]["get"]
    name = operation["responses"][str(answer.status)]["$ref"].rpartition("/")[2]
    response = described["components"]["responses"][name]
    schema = response["content"]["application/json"]["schema"]
    assert code in schema["properties"]["error_details"]["properties"]["code"]["enum"]
    for header in response["headers"]:
        if header in {"WWW-Authenticate", "Allow", "Upgrade"}:
            assert header.lower() in answer.headers
