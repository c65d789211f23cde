"""The dashboard's files, and how a browser gets in."""

import re
import time

import pytest
from attrs import evolve

from greenroom.actors.lifecycle import EndReason
from greenroom.supervisor.history import Outcome
from greenroom.supervisor.secret import Secret
from greenroom.web.http.access import COOKIE_S, make_cookie
from greenroom.web.http.dashboard_routes import FOLDER
from greenroom.web.http.tokens import Scope, Token
from tests.web.http.front import open_front

TOKEN = "a-token-of-enough-characters"
OWN = Token(name="operator", secret=Secret(TOKEN), scope=Scope.ADMIN)
FILES = sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_pages_and_files_are_for_everybody(token: str | None) -> None:
    """They show nothing by themselves; a strict policy lets them load nothing from elsewhere."""
    async with open_front(token=token) as front:
        for path in (
            "/",
            "/history",
            "/tiktok/session/any/live",
            "/docs",
            *(f"/dashboard/{name}" for name in FILES if ".html" not in name),
        ):
            answer = await front.client.get(path)
            assert answer.status_code == 200, path
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy.replace("'self'", "")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for name in ("none.js", "index.html", "%2e%2e/http/app.py", "a/b.js"):
            assert (await front.client.get(f"/dashboard/{name}")).status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_files_hold_nothing_inline_and_nothing_from_elsewhere(name: str) -> None:
    """The policy would refuse it; nothing from a session may become markup."""
    text = (FOLDER / name).read_text()
    assert not re.search(
        r"\bon\w+=\"|<script>|<style>|style=\"|innerHTML|outerHTML|insertAdjacentHTML|eval\(", text
    )
    addresses = set(re.findall(r"https?://[^\s\"'`$]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "https://"}


def test_every_file_is_used() -> None:
    """By a page, or by a file that is."""
    used = {"index.html", "session.html", "history.html", "docs.css"}
    while (
        more := {
            name
            for page in used
            for name in re.findall(r"[\"'(/]([a-z_]+\.(?:js|css|svg))[\"')]", (FOLDER / page).read_text())
        }
        - used
    ):
        used |= more
    assert used == set(FILES)


def test_page_about_ended_sessions_offers_each_reason() -> None:
    """And each outcome: the page knows no others than the daemon."""
    script = (FOLDER / "history.js").read_text()
    reasons = script.partition("const REASONS = [")[2].partition("];")[0]
    assert set(re.findall(r'"([a-z_]+)"', reasons)) == {reason.value for reason in EndReason}
    choice = (FOLDER / "history.html").read_text().partition('id="outcome"')[2].partition("</select>")[0]
    assert re.findall(r"<option>([a-z]+)<", choice) == [outcome.value for outcome in Outcome]


async def test_token_becomes_a_cookie_that_scripts_and_other_sites_can_not_use() -> None:
    """It opens what the token opens, until it is taken back."""
    async with open_front(token=TOKEN) as front:
        assert (await front.client.get("/overview")).status_code == 401
        wrong = await front.client.post("/login", json={"token": "wrong"})
        assert (wrong.status_code, "Set-Cookie" in wrong.headers) == (401, False)
        right = await front.client.post("/login", json={"token": TOKEN})
        assert right.status_code == 204
        cookie = right.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        assert (await front.client.get("/overview")).status_code == 200
        elsewhere = {"Origin": "https://evil.example"}
        assert (await front.client.post("/tiktok/session", headers=elsewhere)).status_code == 403
        assert (await front.client.post("/tiktok/session", headers={"Origin": front.url})).status_code == 200
        assert (await front.client.post("/logout")).status_code == 204
        assert (await front.client.get("/overview")).status_code == 401


@pytest.mark.parametrize(
    "cookie",
    ["", "1.2", "9999999999.", "x.y", make_cookie(evolve(OWN, secret=Secret("another token"))),
     make_cookie(evolve(OWN, name="another")),
     make_cookie(OWN, now=time.time() - COOKIE_S - 1)],
    ids=["empty", "short", "unsigned", "text", "of another token", "of another name", "expired"],
)  # fmt: skip
async def test_cookie_that_does_not_hold_opens_nothing(cookie: str) -> None:
    """Neither does a valid one among nonsense do harm."""
    async with open_front(token=TOKEN) as front:
        refused = await front.client.get("/overview", headers={"Cookie": f"greenroom={cookie}"})
        assert refused.status_code == 401
        good = make_cookie(OWN)
        taken = await front.client.get("/overview", headers={"Cookie": f"a=b; greenroom={good}"})
        assert taken.status_code == 200


async def test_login_takes_only_a_token() -> None:
    """Anything else is refused in the usual shape; a daemon without a token needs none."""
    async with open_front(token=TOKEN) as front:
        for body in (
            b"",
            b"[]",
            b'{"token":1}',
            b'{"token":"\xff"}',
            b'{"name":"x"}',
            b"\xff",
            b'{"token":' + b"[" * 5000,
        ):
            assert (await front.client.post("/login", content=body)).status_code == 422
    async with open_front() as front:
        answer = await front.client.post("/login", json={"token": "any"})
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (204, False)


async def test_link_from_another_site_opens_the_pages_only() -> None:
    """As one to a session that is sent by mail; what the pages ask for comes from themselves."""
    async with open_front() as front:
        follow = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert (await front.client.get("/", headers=follow)).status_code == 200
        assert (await front.client.get("/tiktok/session/any/live", headers=follow)).status_code == 200
        assert (await front.client.get("/overview", headers=follow)).status_code == 403
        embed = {**follow, "Sec-Fetch-Mode": "no-cors"}
        assert (await front.client.get("/", headers=embed)).status_code == 403
