"""Profiles over HTTP, in front of a fake machine: listed, logged in to, given a login, used by hand."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import trio

from greenroom.actors.errors import ActionFailed, ProfileNotReplaced
from greenroom.actors.lifecycle import ProfileHolder, ProfileInfo, ProfileMode, ProfileUse
from greenroom.actors.machine.storage_state import Cookie
from greenroom.actors.profile.login_files import MAX_BYTES
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginState
from greenroom.web.http import profile_routes
from tests.web.http.front import PATIENCE_S, Front, open_front

SHOP = ProfileUse(name="shop", mode=ProfileMode.WRITE, may_be_new=True)
LATER = int((datetime.now(UTC) + timedelta(days=30)).timestamp())
COOKIES = f"#HttpOnly_.tiktok.com\tTRUE\t/\tTRUE\t{LATER}\tsessionid\tcanary\n"


async def started(front: Front, path: str, body: dict[str, Any] | None = None, **headers: str) -> str:
    """Start a session that a person is to use; return its path."""
    answer = await front.client.post(path, json=body or {}, headers=headers)
    assert answer.status_code == 202
    location = answer.headers["Location"]
    assert answer.json()["live"] == f"{front.client.base_url}{location}/live"
    assert answer.json()["session"]["id"] == answer.headers["X-Session-Id"]
    return str(location)


async def ended(front: Front, path: str) -> dict[str, Any]:
    """Return a session once it has ended."""
    with trio.fail_after(PATIENCE_S):
        while True:
            session: dict[str, Any] = (await front.client.get(path)).json()["session"]
            if session["receipt"]:
                return session
            await trio.sleep(0.05)


async def test_profiles_are_listed_with_their_logins() -> None:
    """And with who has them. One that is not there is not found."""
    until = datetime(2027, 1, 1, tzinfo=UTC)
    shop = ProfileInfo(
        name="shop",
        generation=3,
        login=("sessionid",),
        login_expires_at=until,
        holder=ProfileHolder(program="firefox", pid=7),
    )
    async with open_front(FakeMachine(known=(ProfileInfo(name="default"), shop))) as front:
        listed = (await front.client.get("/profiles")).json()
        assert (listed["message"], [one["name"] for one in listed["profiles"]]) == (
            "2 profiles",
            ["default", "shop"],
        )
        assert listed["profiles"][1] == {
            "name": "shop",
            "generation": 3,
            "committed_at": None,
            "login": ["sessionid"],
            "login_expires_at": "2027-01-01T00:00:00Z",
            "holder": {"program": "firefox", "pid": 7, "since": None, "until": None},
            "problem": None,
        }
        assert (await front.client.get("/profiles/shop")).json()["profile"] == listed["profiles"][1]
        missing = await front.client.get("/profiles/other")
        assert (missing.status_code, missing.json()["error_details"]["code"]) == (404, "PROFILE_NOT_FOUND")
        for path in ("/profiles/a.b", "/profiles/A"):
            assert (await front.client.get(path)).status_code == 422


async def test_login_goes_on_until_the_page_shows_one() -> None:
    """Then the session ends and the profile is saved."""
    async with open_front(FakeMachine(page=LoginState.LOGGED_OUT)) as front:
        path = await started(front, "/profiles/shop/login", {"timeout_s": 500})
        session = (await front.client.get(path)).json()["session"]
        assert (session["state"], session["purpose"], session["login_state"]) == (
            "live",
            "login",
            "LOGGED_OUT",
        )
        assert list(front.machine.uses.values()) == [SHOP]
        left = datetime.fromisoformat(session["expires_at"]) - datetime.now(UTC)
        assert timedelta(seconds=400) < left < timedelta(seconds=500)
        front.machine.page = LoginState.LOGGED_IN
        session = await ended(front, path)
        assert (session["end_reason"], session["receipt"]["commit"]["generation"]) == ("completed", 1)


async def test_key_makes_one_session_of_requests_that_are_sent_again() -> None:
    """One for each purpose: a session to log in is none to browse. A bad key begins nothing."""
    key = {"Idempotency-Key": "k"}
    shop = {**key, "X-Profile": "shop"}
    async with open_front(FakeMachine(page=LoginState.LOGGED_OUT)) as front:
        first = await started(front, "/profiles/shop/login", {"timeout_s": 500}, **key)
        assert await started(front, "/profiles/shop/login", {}, **key) == first
        assert await started(front, "/profiles/other/login", {}, **key) != first
        browsed = await started(front, "/browse", {}, **shop)
        assert browsed != first
        assert await started(front, "/browse", {}, **shop) == browsed
        for path in ("/profiles/shop/login", "/browse"):
            for keys in ([("Idempotency-Key", "a b")], [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]):
                refused = await front.client.post(path, json={}, headers=keys)
                assert (refused.status_code, refused.json()["error_details"]["code"]) == (
                    422,
                    "INVALID_REQUEST",
                )
        assert len(front.machine.uses) == 3


async def test_login_without_a_body_has_the_usual_time() -> None:
    """What it can't have is refused, and begins nothing."""
    async with open_front(FakeMachine(page=LoginState.LOGGED_OUT)) as front:
        answer = await front.client.post("/profiles/default/login")
        assert answer.status_code == 202
        for body in ({"timeout_s": 0}, {"timeout_s": "x"}, {"other": 1}):
            refused = await front.client.post("/profiles/default/login", json=body)
            assert (refused.status_code, refused.json()["error_details"]["code"]) == (422, "INVALID_REQUEST")
        assert len(front.machine.uses) == 1


async def test_window_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's own. To browse, there is the live view instead."""
    monkeypatch.setattr(profile_routes, "display_problem", lambda: "There is no display")
    async with open_front() as front:
        refused = await front.client.post("/profiles/default/login", json={"window": True})
        assert (refused.status_code, refused.json()["error_details"]["details"]) == (
            422,
            "There is no display",
        )
        assert front.machine.uses == {}
        path = await started(
            front, "/browse", {"url": "https://www.tiktok.com/upload"}, **{"X-Profile": "shop"}
        )
        [browser] = front.machine.browsers.values()
        assert browser.urls == ["https://www.tiktok.com/upload"]
        session = (await front.client.get(path)).json()["session"]
        assert (session["profile"], session["profile_mode"], session["purpose"]) == (
            "shop",
            "write",
            "browse",
        )
        await front.client.delete(path)
        assert (await ended(front, path))["receipt"]["commit"]["generation"] == 1


async def test_header_that_is_sent_twice_is_refused() -> None:
    """Nobody could tell which counts. Nor is what is browsed only read."""
    async with open_front() as front:
        for path, headers in (
            ("/tiktok/session", [("X-Profile", "a"), ("X-Profile", "b")]),
            ("/tiktok/session", [("X-Profile-Mode", "read"), ("X-Profile-Mode", "write")]),
            ("/browse", [("X-Profile-Mode", "read")]),
        ):
            answer = await front.client.post(path, json={}, headers=headers)
            assert (answer.status_code, answer.json()["error_details"]["code"]) == (422, "INVALID_REQUEST")
        assert front.machine.uses == {}


async def test_profile_that_can_not_be_saved_is_a_conflict() -> None:
    """The text says why; the daemon has not failed."""
    error = ProfileNotReplaced("Another program has used the profile meanwhile")
    async with open_front(FakeMachine(commit_error=error)) as front:
        answer = await front.client.post("/profiles/shop/import", content=COOKIES)
        details = answer.json()["error_details"]
        assert (answer.status_code, details["code"], details["details"]) == (
            409,
            "PROFILE_NOT_REPLACED",
            str(error),
        )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1:{port}/", "x"])
async def test_page_that_must_not_be_opened_is_refused(url: str) -> None:
    """As an action is: no files, and not the daemon itself."""
    async with open_front() as front:
        port = httpx.URL(str(front.client.base_url)).port
        refused = await front.client.post("/browse", json={"url": url.format(port=port)})
        assert (refused.status_code, refused.json()["error_details"]["code"]) == (422, "INVALID_REQUEST")
        assert front.machine.uses == {}


@pytest.mark.parametrize("kind", ["cookies.txt", "extension", "state"])
async def test_login_is_imported(kind: str) -> None:
    """A browser gets it, must show it, and its profile is saved. The answer says what was taken."""
    exported = {"name": "sessionid", "value": "canary", "domain": ".tiktok.com", "expirationDate": LATER}
    content = {
        "cookies.txt": COOKIES + f"example.com\tFALSE\t/\tFALSE\t{LATER}\tother\tx\n",
        "extension": json.dumps([exported, exported | {"domain": "example.com"}]),
        "state": json.dumps({"cookies": [exported, exported | {"domain": "example.com"}], "origins": []}),
    }[kind]
    async with open_front(FakeMachine(commit_s=0.2)) as front:
        answer = await front.client.post("/profiles/shop/import", content=content)
        assert answer.json() == {
            "status": "success",
            "message": "The profile shop is logged in",
            "profile": "shop",
            "generation": 1,
            "cookies": ["sessionid"],
            "expired": [],
            "left_out": 1,
        }
        assert list(front.machine.uses.values()) == [SHOP]
        assert (front.machine.browsers, len(front.machine.committed)) == ({}, 1)
        everything = await front.client.post("/profiles/shop/import?all=true", content=content)
        assert everything.json()["left_out"] == 0


async def test_state_reaches_the_browser_before_the_page() -> None:
    """Or the site would see a stranger first."""
    async with open_front(FakeMachine(navigate_s=0.5)) as front, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: front.client.post("/profiles/shop/import", content=COOKIES))
        with trio.fail_after(PATIENCE_S):
            while not (browsers := list(front.machine.browsers.values())) or not browsers[0].urls:
                await trio.sleep(0.01)
        [state] = browsers[0].restored
        assert [cookie.name for cookie in state.cookies] == ["sessionid"]
        assert isinstance(state.cookies[0], Cookie)


async def test_import_that_can_not_be_commits_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A malformed line, a page that shows no login, a browser that does not take it: each says so."""
    async with open_front(FakeMachine(page=LoginState.LOGGED_OUT)) as front:

        async def refused(content: str | bytes, path: str = "/profiles/shop/import") -> tuple[int, str, str]:
            answer = await front.client.post(path, content=content)
            details = answer.json()["error_details"]
            return answer.status_code, details["code"], details["details"]

        assert await refused(COOKIES + "x\n") == (
            422,
            "INVALID_LOGIN_FILE",
            "Line 2 has 1 fields, and a cookie has 7 with tabs between them",
        )
        assert (await refused(""))[:2] == (422, "INVALID_LOGIN_FILE")
        assert (await refused(COOKIES, "/profiles/Shop/import"))[:2] == (422, "INVALID_REQUEST")
        assert (await refused(COOKIES, "/profiles/shop/import?all=maybe"))[:2] == (422, "INVALID_REQUEST")
        assert (await refused(b"x" * (MAX_BYTES + 1)))[0] == 413
        assert front.machine.uses == {}
        assert (await refused(COOKIES))[:2] == (409, "NOT_LOGGED_IN")
        front.machine.page = LoginState.LOGGED_IN
        front.machine.restore_error = ActionFailed("The browser could not do this", told="canary")
        assert (await refused(COOKIES))[:2] == (422, "ACTION_FAILED")
        assert (front.machine.committed, front.machine.browsers) == ([], {})
    shown = capsys.readouterr()
    assert "canary" not in shown.out + shown.err
