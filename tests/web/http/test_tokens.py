"""Named tokens over HTTP: what each scope and each profile opens, and what is left of a revoked one."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from greenroom.actors.lifecycle import ProfileInfo
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.secret import Secret
from greenroom.web.commands.serve import open_daemon
from greenroom.web.http.access import make_cookie
from greenroom.web.http.app import create_app
from greenroom.web.http.dashboard_routes import is_open
from greenroom.web.http.scopes import SCOPES, WEBSOCKET
from greenroom.web.http.shares import MAX_STREAMS_OF_READER
from greenroom.web.http.tokens import Scope, Token, Tokens
from greenroom.web.metrics.metrics import Metrics
from greenroom.web.settings import DaemonSettings
from tests.web.http.abuse import ask, connect, reset
from tests.web.http.front import ALL, PATIENCE_S, SESSIONS, make_settings, open_client, until
from tests.web.http.test_abuse import address_of
from tests.web.http.websockets import Refusal, open_socket

DOCS = Path(__file__).parents[3] / "docs" / "access.md"


def token_named(name: str, scope: Scope, **more: Any) -> Token:
    """Return a token whose secret is made of its name."""
    return Token(name=name, secret=Secret(f"secret-of-{name}-and-more"), scope=scope, **more)


READ = token_named("reader", Scope.READ)
CONTROL = token_named("worker", Scope.CONTROL)
ADMIN = token_named("admin", Scope.ADMIN)
BOUND = token_named("bound", Scope.CONTROL, profiles=frozenset({"shop"}))
BOUND_ADMIN = token_named("keeper", Scope.ADMIN, profiles=frozenset({"shop"}))


def bearer(token: Token) -> dict[str, str]:
    """Return the header that a client of this token sends."""
    return {"Authorization": f"Bearer {token.secret.reveal()}"}


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as a WebSocket's handshake takes them."""
    return [(name.encode(), value.encode()) for name, value in headers.items()]


@attrs.frozen
class House:
    """A daemon with these tokens, and what it is reached by."""

    url: str
    machine: FakeMachine
    tokens: Tokens
    client: Any

    async def ask(
        self, token: Token, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        answer = await self.client.request(
            method, path, headers={**bearer(token), **headers}, **({} if body is None else {"json": body})
        )
        return answer.status_code, answer.json() if answer.content[:1] == b"{" else answer.content

    async def code(
        self, token: Token, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, str]:
        """Return the status and the error's code."""
        status, body = await self.ask(token, method, path, body, **headers)
        return status, body["error_details"]["code"]

    async def create(self, token: Token, profile: str = "default", **headers: str) -> str:
        """Create a session and return its path."""
        answer = await self.client.post(SESSIONS, headers={**bearer(token), "X-Profile": profile, **headers})
        assert answer.status_code == 200, answer.text
        return str(answer.headers["Location"])


@asynccontextmanager
async def open_house(
    *tokens: Token, machine: FakeMachine | None = None, **settings: Any
) -> AsyncIterator[House]:
    """Run a daemon with these tokens in front of a fake machine."""
    machine = machine or FakeMachine(known=(ProfileInfo(name="default"), ProfileInfo(name="shop")))
    async with (
        open_daemon(make_settings(**settings), machine=machine) as daemon,
        open_client(daemon.url) as client,
    ):
        daemon.tokens.replace(tokens)
        yield House(daemon.url, machine, daemon.tokens, client)


# Scopes.


@asynccontextmanager
async def open_routes() -> AsyncIterator[set[tuple[str, str]]]:
    """Yield the methods and routes that there are, a WebSocket's method being `WEBSOCKET`."""
    async with open_daemon(make_settings(), machine=FakeMachine()) as daemon:
        app = create_app(daemon.supervisor, DaemonSettings(), ALL, Metrics(daemon.supervisor))
        yield {
            (WEBSOCKET if rule.websocket else method, rule.rule)
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }


async def test_every_route_has_a_scope_or_is_for_everybody() -> None:
    """A new one without an entry would need admin, which is safe but seldom meant."""
    async with open_routes() as routes:
        guarded = {
            (method, route) for method, route in routes if not is_open(route.replace("<session_id>", "x"))
        }
        assert guarded == set(SCOPES)


@pytest.mark.parametrize("token", [READ, CONTROL, ADMIN], ids=lambda token: token.name)
async def test_each_scope_opens_what_the_table_says(token: Token) -> None:
    """And what it doesn't open is refused before anything is done, for every route that there is."""
    async with open_house(READ, CONTROL, ADMIN) as house:
        for (method, route), needed in SCOPES.items():
            path = (
                route.replace("<session_id>", "none").replace("<name>", "none").replace("<link_id>", "none")
            )
            path = path.replace("<path:name>", "none")
            if method == WEBSOCKET:
                with pytest.raises(Refusal) as caught:
                    async with open_socket(f"{house.url}{path}", raw(bearer(token))):
                        pass
                status, code = caught.value.status, caught.value.code
            elif path.endswith("/events") and token.scope >= needed:
                continue  # a stream that does not end
            else:
                status, body = await house.ask(token, method, path)
                is_ours = isinstance(body, dict) and "error_details" in body  # and not MCP's, or metrics
                code = body["error_details"]["code"] if is_ours else ""
            is_refused = (status, code) == (403, "NOT_ALLOWED")
            assert is_refused == (token.scope < needed), (method, route)
            assert is_refused or status != 500, (method, route)


async def test_refusal_says_which_scope_is_needed() -> None:
    """So it is clear what to ask the operator for."""
    async with open_house(READ) as house:
        _status, body = await house.ask(READ, "POST", SESSIONS)
        assert body["error_details"]["details"] == (
            "This takes a token with the scope control; yours, reader, has read"
        )


async def test_changing_a_profile_takes_admin() -> None:
    """A session that writes its profile does so, whatever it is made for."""
    async with open_house(CONTROL, ADMIN) as house:
        write = {"X-Profile-Mode": "write"}
        assert await house.code(CONTROL, "POST", SESSIONS, **write) == (403, "NOT_ALLOWED")
        assert await house.code(CONTROL, "POST", "/browse") == (403, "NOT_ALLOWED")
        await house.create(CONTROL)
        await house.create(ADMIN, **write)


async def test_reader_watches_but_does_not_act() -> None:
    """Not even over the WebSocket of the live view, nor by way of Playwright."""
    async with open_house(READ, CONTROL) as house:
        path = await house.create(CONTROL)
        async with open_socket(f"{house.url}{path}/watch", raw(bearer(READ))) as socket:
            await socket.send('{"type":"mouse","action":"move","x":1,"y":1}')
            while '"refused"' not in (told := await socket.receive()):
                pass
            assert "NOT_ALLOWED" in told
        with pytest.raises(Refusal) as caught:
            async with open_socket(f"{house.url}{path}/playwright", raw(bearer(READ))):
                pass
        assert (caught.value.status, caught.value.code) == (403, "NOT_ALLOWED")


async def test_whoami_shows_what_a_token_allows() -> None:
    """For clients, before they try."""
    async with open_house(BOUND) as house:
        assert await house.ask(BOUND, "GET", "/whoami") == (
            200,
            {
                "status": "success",
                "message": "You are bound",
                "name": "bound",
                "scope": "control",
                "profiles": ["shop"],
            },
        )
    async with open_house() as house:
        assert (await house.client.get("/whoami")).json()["scope"] == "admin"


# Profiles.


async def test_token_of_some_profiles_sees_no_others() -> None:
    """Sessions, profiles and events of the others are not there for it, wherever it looks."""
    async with open_house(ADMIN, BOUND, BOUND_ADMIN) as house:
        theirs, own = await house.create(ADMIN), await house.create(BOUND, "shop")
        for method, path in (
            ("GET", theirs),
            ("DELETE", theirs),
            ("GET", f"{theirs}/snapshot"),
            ("GET", f"{theirs}/bundle"),
            ("GET", f"{theirs}/live.jpg"),
            ("POST", f"{theirs}/actions"),
            ("POST", f"{theirs}/links"),
        ):
            assert await house.code(BOUND, method, path) == (404, "SESSION_NOT_FOUND"), path
        for method, path in (("GET", "/profiles/default"), ("POST", "/profiles/default/login")):
            assert await house.code(BOUND_ADMIN, method, path) == (404, "PROFILE_NOT_FOUND")
        status, body = await house.ask(BOUND, "POST", SESSIONS)
        details = body["error_details"]
        assert (status, details["code"]) == (404, "PROFILE_NOT_FOUND")
        assert details["details"] == (
            "There is no profile 'default': your token is for shop; name one with X-Profile"
        )
        assert await house.code(BOUND_ADMIN, "POST", "/browse") == (404, "PROFILE_NOT_FOUND")
        for path in ("/leaks", "/metrics"):
            assert await house.code(BOUND, "GET", path) == (403, "NOT_ALLOWED")
            assert (await house.ask(BOUND, "HEAD", path))[0] == 403  # its length would tell, too
            assert (await house.ask(ADMIN, "HEAD", path))[0] == 200
        assert await house.code(BOUND, "GET", "/ready") == (404, "PROFILE_NOT_FOUND")
        for path, key in (("/tiktok/session", "sessions"), ("/overview", "sessions")):
            _status, body = await house.ask(BOUND, "GET", path)
            assert [session["id"] for session in body[key]] == [own.rpartition("/")[2]]
        _status, body = await house.ask(BOUND, "GET", "/profiles")
        assert [profile["name"] for profile in body["profiles"]] == ["shop"]
        with trio.fail_after(PATIENCE_S):
            first = {"Last-Event-ID": "from-the-start-0"}
            async with house.client.stream("GET", "/events", headers=bearer(BOUND) | first) as stream:
                told = ""
                await house.ask(ADMIN, "DELETE", theirs)
                await house.ask(BOUND, "DELETE", own)
                async for piece in stream.aiter_text():
                    told += piece
                    if "session.ended" in told:
                        house.tokens.replace([ADMIN])  # which ends the stream
        assert own.rpartition("/")[2] in told
        assert theirs.rpartition("/")[2] not in told
        assert "event: host" not in told


async def test_idempotency_keys_of_two_tokens_do_not_meet() -> None:
    """Whoever guesses a key gets no session of another token by it."""
    async with open_house(CONTROL, ADMIN) as house:
        key = {"Idempotency-Key": "the-same"}
        one, other = await house.create(CONTROL, **key), await house.create(ADMIN, **key)
        assert one != other
        assert await house.create(CONTROL, **key) == one


async def test_login_that_is_sent_again_with_its_key_counts_once_and_is_its_tokens_own() -> None:
    """With the same key, to browse is something else. Another token's key of that name is another one."""
    few = token_named("few", Scope.ADMIN, max_sessions=1)
    async with open_house(few, ADMIN) as house:

        async def begin(token: Token, path: str) -> tuple[int, str | None]:
            headers = {**bearer(token), "Idempotency-Key": "the-same", "X-Profile": "shop"}
            answer = await house.client.post(path, json={}, headers=headers)
            return answer.status_code, answer.headers.get("Location")

        status, browsed = await begin(few, "/browse")
        assert (status, await begin(few, "/browse")) == (202, (202, browsed))
        assert (await begin(few, "/profiles/shop/login"))[0] == 429
        status, other = await begin(ADMIN, "/browse")
        assert (status, other != browsed) == (202, True)


# Limits.


async def test_limits_of_a_token_answer_429_with_when_to_come_again() -> None:
    """They are the token's own: others go on."""
    few = token_named("few", Scope.CONTROL, max_sessions=1)
    slow = token_named("slow", Scope.READ, requests_per_minute=2)
    async with open_house(few, slow, ADMIN) as house:
        path = await house.create(few, **{"Idempotency-Key": "one"})
        refused = await house.client.post(SESSIONS, headers=bearer(few))
        assert (refused.status_code, refused.json()["error_details"]["code"]) == (429, "TOO_MANY_SESSIONS")
        assert 200 < int(refused.headers["Retry-After"]) <= 300
        assert await house.create(few, **{"Idempotency-Key": "one"}) == path
        await house.create(ADMIN)
        await house.ask(few, "DELETE", path)
        await house.create(few)
        answers = [await house.client.get("/whoami", headers=bearer(slow)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["error_details"]["code"] == "TOO_MANY_REQUESTS"
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 30


# Tokens that are replaced.


async def test_token_that_is_revoked_opens_nothing_and_its_streams_end() -> None:
    """The sessions that were made with it live on. Links that were made with it fall with it."""
    async with open_house(CONTROL, ADMIN) as house:
        path = await house.create(CONTROL)
        _status, made = await house.ask(CONTROL, "POST", f"{path}/links", {"mode": "view", "name": "Ada"})
        link = {"Authorization": f"Bearer {made['token']}"}
        assert (await house.client.get(path, headers=link)).status_code == 200
        async with (
            open_socket(f"{house.url}{path}/watch", raw(bearer(CONTROL))) as watching,
            open_socket(f"{house.url}{path}/watch", raw(link)) as by_link,
            open_socket(f"{house.url}{path}/playwright", raw(bearer(CONTROL))) as attached,
            house.client.stream("GET", "/events", headers=bearer(CONTROL)) as events,
            open_socket(f"{house.url}{path}/watch", raw(bearer(ADMIN))) as staying,
        ):
            assert house.tokens.replace([ADMIN]) == ["worker"]
            assert await watching.closed() == (4003, "the token does not hold any more")
            assert await by_link.closed() == (4003, "the link has expired or was revoked")
            assert await attached.closed() == (1008, "the token does not hold any more")
            with trio.fail_after(PATIENCE_S):
                async for _piece in events.aiter_bytes():
                    pass
            await staying.receive()
        assert await house.code(CONTROL, "GET", path) == (401, "UNAUTHORIZED")
        assert (await house.client.get(path, headers=link)).status_code == 401
        assert (await house.ask(ADMIN, "GET", path))[1]["session"]["state"] == "live"


async def test_token_that_allows_less_now_loses_its_streams_too() -> None:
    """What was opened with the old one was opened with its rights."""
    async with open_house(CONTROL) as house:
        path = await house.create(CONTROL)
        async with open_socket(f"{house.url}{path}/watch", raw(bearer(CONTROL))) as watching:
            house.tokens.replace([attrs.evolve(CONTROL, scope=Scope.READ)])
            assert (await watching.closed())[0] == 4003
        assert await house.code(CONTROL, "DELETE", path) == (403, "NOT_ALLOWED")


async def test_cookie_stands_for_its_own_token() -> None:
    """It allows what the token does now, and falls with it."""
    async with open_house(READ, ADMIN) as house:
        cookie = {"Cookie": f"greenroom={make_cookie(READ)}"}
        assert (await house.client.get("/whoami", headers=cookie)).json()["name"] == "reader"
        assert (await house.client.post(SESSIONS, headers=cookie)).status_code == 403
        house.tokens.replace([ADMIN])
        assert (await house.client.get("/whoami", headers=cookie)).status_code == 401


# The audit.


async def test_each_changing_request_is_logged_with_who_sent_it() -> None:
    """With what became of it. Reading leaves no line; a refusal by scope does."""
    async with open_house(READ, CONTROL) as house:
        with capture_logs() as logs:
            path = await house.create(CONTROL)
            await house.ask(READ, "GET", path)
            await house.ask(READ, "DELETE", path)
            async with open_socket(f"{house.url}{path}/watch", raw(bearer(READ))):
                pass
            await house.ask(CONTROL, "DELETE", path, **{"X-Request-Id": "mine"})
            await until(lambda: len([line for line in logs if line["event"] == "audit"]) == 4)
    session_id = path.rpartition("/")[2]
    lines = [line for line in logs if line["event"] == "audit"]
    assert [(line["who"], line["method"], line["path"], line.get("status")) for line in lines] == [
        ("worker", "POST", SESSIONS, 200),
        ("reader", "DELETE", path, 403),
        ("reader", "WebSocket", f"{path}/watch", None),
        ("worker", "DELETE", path, 204),
    ]
    assert {line["session_id"] for line in lines} == {session_id}
    assert lines[-1]["request_id"] == "mine"
    assert "secret-of" not in str(logs)


async def test_request_whose_client_hangs_up_is_logged_too() -> None:
    """What it has done may be done, though nobody was told."""
    token = CONTROL.secret.reveal()
    async with open_house(CONTROL) as house:
        with capture_logs() as logs:
            path = await house.create(CONTROL)
            stream = await connect(address_of(house.url))
            head = f"POST {path}/actions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            body = b'{"kind":"reload"}'
            await stream.send_all(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await reset(stream)
            await until(lambda: any(line.get("path") == f"{path}/actions" for line in logs))
    [line] = [line for line in logs if line.get("path") == f"{path}/actions" and line["event"] == "audit"]
    assert (line["who"], line["session_id"]) == ("worker", path.rpartition("/")[2])


# What one may do to the others.


async def test_session_that_writes_is_for_those_who_may_change_profiles() -> None:
    """Whoever uses it changes the profile. Others see it, but can't act in it, end it or hand it on."""
    async with open_house(READ, CONTROL, ADMIN) as house:
        path = await house.create(ADMIN, **{"X-Profile-Mode": "write"})
        for method, below in (("POST", "/actions"), ("POST", "/links"), ("PATCH", ""), ("DELETE", ""),
                              ("POST", "/control"), ("GET", "/cookies")):  # fmt: skip
            assert await house.code(CONTROL, method, path + below) == (403, "NOT_ALLOWED"), below
        with pytest.raises(Refusal) as caught:
            async with open_socket(f"{house.url}{path}/playwright", raw(bearer(CONTROL))):
                pass
        assert caught.value.status == 403
        assert (await house.ask(READ, "GET", path))[0] == 200
        _status, made = await house.ask(ADMIN, "POST", f"{path}/links", {"mode": "control", "name": "Ada"})
        link = {"Authorization": f"Bearer {made['token']}"}
        taken = await house.client.post(f"{path}/control", json={"holder": "human"}, headers=link)
        assert taken.status_code == 200


async def test_control_of_another_is_ended_by_whoever_has_the_lease_or_by_an_admin() -> None:
    """A name that somebody gives themselves comes with that of their token."""
    async with open_house(CONTROL, ADMIN) as house:
        path = f"{await house.create(CONTROL)}/control"
        taking = {"holder": "human", "name": "Ada"}
        _status, taken = await house.ask(CONTROL, "POST", path, taking)
        assert taken["control"]["by"] == "Ada (worker)"
        assert await house.code(CONTROL, "POST", path, {"holder": "programs"}) == (403, "NOT_ALLOWED")
        lease = {"X-Control-Lease": taken["lease"]}
        assert (await house.ask(CONTROL, "POST", path, {"holder": "programs"}, **lease))[0] == 200
        await house.ask(CONTROL, "POST", path, taking)
        assert (await house.ask(ADMIN, "POST", path, {"holder": "programs"}))[0] == 200


async def test_action_that_waits_for_control_is_not_done_for_a_token_that_was_revoked() -> None:
    """What it waited for comes too late."""
    async with open_house(CONTROL, ADMIN) as house:
        path = await house.create(CONTROL)
        _status, taken = await house.ask(ADMIN, "POST", f"{path}/control", {"holder": "human"})
        answers: list[tuple[int, Any]] = []

        async def act() -> None:
            steps = {"actions": [{"kind": "click", "target": "#a"}], "on_held": "wait"}
            answers.append(await house.ask(CONTROL, "POST", f"{path}/actions", steps))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(act)
            await trio.sleep(0.2)
            assert answers == []
            house.tokens.replace([ADMIN])
        assert (answers[0][0], answers[0][1]["error_details"]["code"]) == (401, "UNAUTHORIZED")
        lease = {"X-Control-Lease": taken["lease"]}
        await house.ask(ADMIN, "POST", f"{path}/control", {"holder": "programs"}, **lease)
        [browser] = house.machine.browsers.values()
        assert browser.performed == []


async def test_reader_takes_few_of_the_places_in_a_session_and_of_the_streams() -> None:
    """So whoever uses the session goes on, and the daemon answers others."""
    async with open_house(READ, CONTROL, machine=FakeMachine(action_s=3600)) as house:
        path = await house.create(CONTROL)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(house.ask, READ, "GET", f"{path}/html")
            await trio.sleep(0.3)
            assert await house.code(READ, "GET", f"{path}/html") == (429, "TOO_MANY_COMMANDS")
            nursery.cancel_scope.cancel()
        async with AsyncExitStack() as stack:
            for _ in range(MAX_STREAMS_OF_READER):
                stream = house.client.stream("GET", "/events", headers=bearer(READ))
                assert (await stack.enter_async_context(stream)).status_code == 200
            assert await house.code(READ, "GET", "/events") == (429, "TOO_MANY_STREAMS")
            async with house.client.stream("GET", "/events", headers=bearer(CONTROL)) as other:
                assert other.status_code == 200

        async def is_free() -> bool:
            async with house.client.stream("GET", "/events", headers=bearer(READ)) as again:
                return bool(again.status_code == 200)

        with trio.fail_after(PATIENCE_S):
            while not await is_free():
                await trio.sleep(0.05)


async def test_requests_by_a_link_count_for_the_token_that_made_it() -> None:
    """Or its limit would be none."""
    slow = token_named("slow", Scope.CONTROL, requests_per_minute=4)
    async with open_house(slow) as house:
        path = await house.create(slow)
        _status, made = await house.ask(slow, "POST", f"{path}/links", {"mode": "view", "name": "Ada"})
        link = {"Authorization": f"Bearer {made['token']}"}
        answers = [(await house.client.get(path, headers=link)).status_code for _ in range(3)]
        assert answers == [200, 200, 429]


async def test_why_something_is_wrong_is_shown_to_those_who_see_all_profiles() -> None:
    """The text may name a profile. To strangers a daemon with tokens shows the condition only."""
    machine = FakeMachine(no_place="secret-profile is the problem")
    async with open_house(BOUND, ADMIN, machine=machine) as house:

        async def shown(token: Token | None, path: str) -> str:
            headers = {} if token is None else bearer(token)
            return str((await house.client.get(path, headers=headers)).text)

        with trio.fail_after(PATIENCE_S):
            while "secret-profile" not in await shown(ADMIN, "/overview"):
                await trio.sleep(0.05)
        for token, path in ((BOUND, "/overview"), (BOUND, SESSIONS), (None, "/health")):
            text = await shown(token, path)
            assert '"clones":{"health":"problem"' in text
            assert "secret-profile" not in text


# Requests that cost little to send


@pytest.mark.parametrize(
    "head",
    [
        b"x-request-id:" + b" " * 15_000 + b"\rX",
        b"x-request-id: a" + b" " * 15_000 + b"b\r",
        b'Cookie: greenroom="' + b"\\" * 15_000 + b'"',
        b"Cookie: " + b"greenroom=a;" * 1200,
    ],
    ids=["blank id", "long id", "escaped cookie", "many cookies"],
)
async def test_header_of_a_stranger_takes_no_time(head: bytes) -> None:
    """Nobody has to wait for what is done with it."""
    async with open_house(ADMIN) as house:
        request = b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + head + b"\r\n\r\n"
        started = time.thread_time()
        answer = await ask(address_of(house.url), request)
        assert time.thread_time() - started < 1  # it was over a second to hours
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))


# The page.


def scope_table() -> str:
    """Return the table of scopes as docs/access.md has it."""
    lines = ["| request | read | control | admin |", "|---|---|---|---|"]
    for (method, route), needed in sorted(SCOPES.items(), key=lambda entry: (entry[0][1], entry[0][0])):
        path = route.replace("<path:name>", "{name}").replace("<", "{").replace(">", "}")
        cells = " | ".join("✓" if scope >= needed else " " for scope in Scope)
        lines.append(f"| `{method} {path}` | {cells} |")
    return "\n".join(lines)


def test_page_has_the_table_of_scopes() -> None:
    """To write it anew, replace the table there by what the failure shows."""
    assert scope_table() in DOCS.read_text()
