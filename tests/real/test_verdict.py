"""The verdict on the real browser: all pages of the practice site, and a login only the endpoints show."""

from pathlib import Path

import pytest

from actors.verdict import LoginReason, LoginState, Method, Verdict
from actors.verdict.detector import LoginDetector
from supervisor.world import real_browsers
from tests.real.conftest import open_client
from web.practice.pages import Page, State, all_pages
from web.settings import DaemonSettings

pytestmark = pytest.mark.browser

EXPECTED = {
    State.LOGGED_IN: LoginState.LOGGED_IN,
    State.LOGGED_OUT: LoginState.LOGGED_OUT,
    State.CHALLENGE: LoginState.UNCERTAIN,
}
ONCE = LoginDetector(timeout_s=30, retries=0, selectors={})


def is_right(page: Page, verdict: Verdict) -> bool:
    """Return whether a page was judged as what it is, a challenge by that name."""
    is_named = page.state is not State.CHALLENGE or verdict.reason is LoginReason.CHALLENGE
    return verdict.state is EXPECTED[page.state] and is_named


async def test_every_practice_page_is_judged_right(settings: DaemonSettings, master: Path, site: str) -> None:
    """States, eras and kinds, rendered by the server, by the page's own script, or not at all."""
    wrong: dict[str, Verdict] = {}
    async with real_browsers(settings).open_browser("a") as browser:
        await browser.launch(master, headless=True)
        for page in all_pages():
            await browser.navigate(f"{site}/page?{page.query}")
            verdict = await ONCE.judge(browser)
            if not is_right(page, verdict):
                wrong[page.name] = verdict
    assert wrong == {}


async def test_login_that_only_the_endpoints_show_is_found(settings: DaemonSettings, site: str) -> None:
    """A page without any sign of its viewer: TikTok's own endpoints, asked from inside it, decide."""
    async with open_client(settings, tiktok_url=f"{site}/api-only") as client:
        answer = await client.create()
        assert answer.status_code == 200
        body = (await client.http.get(answer.headers["Location"])).json()
    assert body["viewer"] == "maker"
    assert body["session"]["login_method"] == Method.API.value


async def test_captcha_is_no_logged_out(settings: DaemonSettings, site: str) -> None:
    """A challenge is told from a lost login, and so is what to do about it."""
    async with open_client(settings, tiktok_url=f"{site}/captcha") as client:
        details = (await client.create()).json()["error_details"]
    assert (details["state"], details["reason"]) == ("UNCERTAIN", "challenge")
    assert "solve it by hand" in details["hint"]
