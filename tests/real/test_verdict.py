"""The verdict on a real browser: all practice pages, and a login that only the endpoints show."""

import gzip
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from greenroom.actors.browser.client.browser import ScraplingFetcherAdapter
from greenroom.actors.browser.client.host import BrowserHost
from greenroom.actors.errors import PageGone, UpstreamUnreachable
from greenroom.actors.verdict import Gate, LoginReason, LoginState, Method, Verdict
from greenroom.actors.verdict.detector import LoginDetector
from greenroom.supervisor.machine import local_browsers
from greenroom.web.practice.pages import Page, State, all_pages
from greenroom.web.settings import DaemonSettings
from tests.actors.verdict.builders import IN_FILE
from tests.patience import patience

pytestmark = pytest.mark.browser

EXPECTED = {
    State.LOGGED_IN: LoginState.LOGGED_IN,
    State.LOGGED_OUT: LoginState.LOGGED_OUT,
    State.CHALLENGE: LoginState.UNCERTAIN,
}
# Pages of the site that say nothing about the login, and why.
REASONS = {
    "uncertain": LoginReason.NOTHING_FOUND,
    "captcha": LoginReason.CHALLENGE,
    "refused?status=403": LoginReason.BLOCKED,
    "refused?status=429&retry_after=17": LoginReason.RATE_LIMITED,
}
NO_PAGES = {
    "attachment": "a download came",
    "no-page": "application/json came",
    "endless-image.png": "image/png came",
    "no-content": "HTTP 204",
    "error?status=503": "HTTP 503",
}
BROWSERS = 4  # in parallel, since a verdict without a login mostly waits for one to appear
ONCE = LoginDetector(timeout_s=30, retries=0, selectors={})


def is_right(page: Page, verdict: Verdict) -> bool:
    """Return whether a page was judged as what it is, and a challenge as the right one."""
    is_named = page.state is not State.CHALLENGE or verdict.reason is LoginReason.CHALLENGE
    return verdict.state is EXPECTED[page.state] and is_named


async def load_and_judge(browser: ScraplingFetcherAdapter, url: str) -> Verdict:
    await browser.navigate(url)
    return await ONCE.judge(browser)


async def load_and_judge_again_and_again(browser: ScraplingFetcherAdapter, url: str) -> None:
    """Repeat until it fails, since a verdict may be there before the page has closed itself."""
    while True:
        await load_and_judge(browser, url)


async def test_every_practice_page_is_judged_right(
    settings: DaemonSettings, master: Path, site: str, tmp_path: Path
) -> None:
    """All states, eras and kinds, rendered by the server, by the page's own script, or not at all."""
    pages = list(all_pages())
    judged: dict[str, Verdict] = {}

    async def judge(host: BrowserHost, number: int) -> None:
        profile = shutil.copytree(master, tmp_path / str(number), symlinks=True)
        async with host.open_browser(str(number)) as browser:
            await browser.launch(profile, headless=True)
            for page in pages[number::BROWSERS]:
                await browser.navigate(f"{site}/page?{page.query}")
                judged[page.name] = await ONCE.judge(browser)

    async with local_browsers(settings).open_host("host-1") as host, trio.open_nursery() as nursery:
        for number in range(BROWSERS):
            nursery.start_soon(judge, host, number)
    assert {page.name: judged[page.name] for page in pages if not is_right(page, judged[page.name])} == {}


async def test_what_comes_instead_of_the_page_is_told(
    settings: DaemonSettings, master: Path, site: str
) -> None:
    """Pages that are slow, large, say nothing, ask something, or are none. One browser shows them all."""
    async with local_browsers(settings).open_browser("a") as browser:
        await browser.launch(master, headless=True)

        async def judge(path: str) -> Verdict:
            return await load_and_judge(browser, f"{site}/{path}")

        # An image that never ends, 5 MB of HTML, and a page that shows its viewer after a while.
        for path in ("endless-image", "heavy", "passing?seconds=1", "bounce"):
            assert (await judge(path)).state is LoginState.LOGGED_IN, path
        # TikTok's own endpoints, asked from inside a page that shows no sign of its viewer.
        verdict = await judge("api-only")
        assert (verdict.state, verdict.method, verdict.viewer) == (
            LoginState.LOGGED_IN,
            Method.API,
            "maker",
        )
        for path, reason in REASONS.items():
            verdict = await judge(path)
            assert (verdict.state, verdict.reason) == (LoginState.UNCERTAIN, reason), path
        assert (verdict.status, verdict.retry_after_s) == (429, 17)
        # A load that was given up keeps neither the next page nor the same one from loading.
        with trio.move_on_after(1):
            await browser.navigate(f"{site}/hang")
        assert (await judge("")).state is LoginState.LOGGED_IN
        with trio.move_on_after(1):
            await browser.navigate(f"{site}/hang")
        await browser.refresh()
        assert (await ONCE.judge(browser)).state is LoginState.LOGGED_IN
        verdict = await judge("gate?kind=age")
        assert (verdict.state, verdict.gate, verdict.is_usable) == (LoginState.LOGGED_IN, Gate.AGE, False)
        for path, why in NO_PAGES.items():
            with pytest.raises(UpstreamUnreachable, match=why):
                await browser.navigate(f"{site}/{path}")


async def test_page_that_closes_itself_is_told(
    settings: DaemonSettings, logged_out_master: Path, site: str
) -> None:
    """Only a window's first page may do so, even where Firefox lets all pages."""
    (logged_out_master / "user.js").write_text('user_pref("dom.allow_scripts_to_close_windows", true);')
    async with local_browsers(settings).open_browser("a") as browser:
        await browser.launch(logged_out_master, headless=True)
        with trio.fail_after(patience(20)), pytest.raises(UpstreamUnreachable, match="page closed itself"):
            await load_and_judge_again_and_again(browser, f"{site}/closing")


ODD_PAGES = {
    "/dialogs": "<script>setInterval(() => alert(1), 10)</script>",
    "/prints": "<script>print()</script>",
    "/waits": "<script defer src=/never.js></script>",
    "/throws": "<script>JSON.stringify = Array.prototype.map = Array.prototype.filter = () => { throw 2 };"
    "Object.defineProperty(Document.prototype, 'documentElement', {get() { throw 1 }})</script>",
    "/": "",
}


class OddPages(http.server.BaseHTTPRequestHandler):
    """Serves a viewer's page with something odd on it, and scripts that never arrive."""

    ended = threading.Event()

    def do_GET(self) -> None:  # the base class's name
        if self.path.endswith(".js"):
            self.ended.wait(60)
            return
        page = (IN_FILE + ODD_PAGES.get(self.path, "")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if self.path == "/garbled":
            page = gzip.compress(page)[:10] + b"no more of it"
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def odd_pages() -> Iterator[str]:
    """The base URL of a site with odd pages."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OddPages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        OddPages.ended.set()
        server.shutdown()


async def test_odd_pages_cost_a_verdict_at_most(
    settings: DaemonSettings, logged_out_master: Path, odd_pages: str
) -> None:
    """Dialogs end neither the browser nor the driver, and late scripts are not waited for."""
    async with local_browsers(settings).open_browser("a") as browser:
        await browser.launch(logged_out_master, headless=True)
        for path in ("dialogs", "", "dialogs", "prints", "", "waits"):
            assert (await load_and_judge(browser, f"{odd_pages}/{path}")).state is LoginState.LOGGED_IN
        assert (await load_and_judge(browser, f"{odd_pages}/throws")).reason is LoginReason.UNREADABLE
        with pytest.raises((UpstreamUnreachable, PageGone), match=r"\w+Error|NS_ERROR"):
            await load_and_judge(browser, f"{odd_pages}/garbled")
