"""The dashboard in a real Chromium, over a daemon and Firefox sessions that are real, too."""

import contextlib
import json
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Error, Page, Playwright, expect

from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.secret import Secret
from greenroom.web.commands.serve import open_daemon
from greenroom.web.http.tokens import Scope, Token
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.real.conftest import Serve

pytestmark = pytest.mark.browser

TOKEN = "a-token-of-enough-characters"
# `make images` sets it: the main views are written there.
IMAGES = os.environ.get("DASHBOARD_IMAGES")
PIXELS = """canvas => {
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(data.buffer)).size;
}"""

ALTGR = """canvas => canvas.dispatchEvent(new KeyboardEvent("keydown",
    {key: "@", modifierAltGraph: true, ctrlKey: true, altKey: true, cancelable: true}))"""
SHOW_STREAM = """address => {
    const stream = Object.assign(new Image(), {id: "stream", alt: "", src: address});
    document.body.append(stream);
}"""
COLOURS_OF_IMAGE = f"""image => {{
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth || 1, image.naturalHeight || 1];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return ({PIXELS})(canvas);
}}"""


@attrs.frozen
class Dashboard:
    """A daemon, its dashboard in Chromium, and a client with the daemon's token, if it has one."""

    url: str
    site: str
    page: Page
    http: httpx.Client
    playwright: Playwright

    def live_session(self) -> str:
        """Create a session that shows the workshop; return its path."""
        answer = self.http.post("/tiktok/session", json={})
        answer.raise_for_status()
        path: str = answer.headers["Location"]
        smaller = {"kind": "evaluate", "expression": "document.body.style.zoom = 0.6"}  # all is in view
        self.act(path, {"kind": "navigate", "url": f"{self.site}/workshop"}, smaller)
        return path

    def act(self, path: str, *actions: dict[str, Any], **headers: str) -> Any:
        """Carry out actions; return the last one's value."""
        answer = self.http.post(f"{path}/actions", json={"actions": list(actions)}, headers=headers)
        answer.raise_for_status()
        return answer.json()["results"][-1]["value"]

    def place_of(self, path: str, selector: str) -> tuple[float, float]:
        """Return the middle of an element of the session's page. Programs must have control."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        middle = f"(box => [box.x + box.width / 2, box.y + box.height / 2])({box})"
        x, y = self.act(path, {"kind": "evaluate", "expression": middle})
        return x, y

    def click_in_view(self, place: tuple[float, float]) -> None:
        """Click on a place of the session's page, on the picture of it."""
        canvas = self.page.locator("#screen")
        box = canvas.bounding_box()
        assert box is not None
        width, height = canvas.evaluate("canvas => [canvas.width, canvas.height]")
        border = 2
        canvas.click(
            position={
                "x": border + place[0] * (box["width"] - 2 * border) / width,
                "y": border + place[1] * (box["height"] - 2 * border) / height,
            }
        )

    def picture(self, name: str) -> None:
        """Keep a picture of the dashboard, if they are wanted."""
        if IMAGES:
            self.page.screenshot(path=Path(IMAGES) / f"{name}.png")


@pytest.fixture
def dashboard(serve: Serve, site: str, page: Page, playwright: Playwright) -> Iterator[Dashboard]:
    with serve() as daemon, httpx.Client(base_url=daemon.url, timeout=patience(60)) as http:
        yield Dashboard(daemon.url, site, page, http, playwright)


def check_accessibility(page: Page) -> None:
    """Fail on anything that axe-core finds."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_operator_sees_all_sessions_and_steers_them(dashboard: Dashboard) -> None:
    """Create, extend, end, with the time that is left, a thumbnail, reasons and a feed of events."""
    page = dashboard.page
    page.goto(dashboard.url)
    expect(page.get_by_text("There is no session")).to_be_visible()
    expect(page.locator("#checks")).to_contain_text("ok")
    page.get_by_role("button", name="New session").click()
    card = page.locator(".card")
    expect(card).to_contain_text("live")
    expect(card).to_contain_text("logged in")
    expect(card).to_contain_text("controlled by programs")
    expect(card.locator("img")).to_be_visible()
    expect(card.get_by_text(re.compile(r"^4:\d\d left$"))).to_be_visible()
    card.get_by_role("button", name="5 minutes more").click()
    expect(card.get_by_text(re.compile(r"^9:\d\d left$"))).to_be_visible()
    expect(page.locator("#warm")).to_contain_text("1 session")
    expect(page.locator("#feed")).to_contain_text("is live")
    path = dashboard.live_session()
    expect(page.locator(".card")).to_have_count(2)
    dashboard.picture("dashboard")
    page.evaluate(SHOW_STREAM, f"{path}/live.mjpeg")
    wait_for(lambda: int(page.locator("#stream").evaluate(COLOURS_OF_IMAGE)) > 10)
    page.evaluate("document.getElementById('stream').remove()")
    check_accessibility(page)
    page.emulate_media(color_scheme="dark")
    check_accessibility(page)
    page.set_viewport_size({"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    name = path.rpartition("/")[2][:8]
    page.get_by_role("button", name=f"End session {name}").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name=f"End session {name}").click()
    page.get_by_role("button", name="End the session").click()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator("#ended")).to_contain_text("deleted")
    page.get_by_label("Thumbnails").uncheck()
    page.reload()
    expect(page.locator("#ended")).to_contain_text("deleted")
    expect(page.locator("#feed")).to_contain_text("is live")  # from before the page was loaded
    expect(page.get_by_label("Thumbnails")).not_to_be_checked()
    expect(card.locator("img")).to_be_hidden()
    page.get_by_label("Thumbnails").check()
    expect(card.locator("img")).to_be_visible()
    assert dashboard.http.get(path).json()["session"]["end_reason"] == "deleted"
    profiles = page.locator("#profiles")
    expect(profiles).to_contain_text("default")
    expect(profiles).to_contain_text("logged in, until ")
    page.get_by_role("button", name="Log in to the profile default").click()
    page.wait_for_url(re.compile("/live$"))
    expect(page.locator("#facts")).to_contain_text("ended: completed")
    expect(page.locator("#receipt")).to_contain_text("Profile savedas generation ")


def test_operator_takes_over_and_hands_the_same_page_back(dashboard: Dashboard) -> None:
    """By mouse, keyboard, tabs and the address bar, while a program is attached with its own Playwright."""
    page, path = dashboard.page, dashboard.live_session()

    def pages() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = dashboard.http.get(f"{path}/pages").json()
        return found

    caption, prompt = dashboard.place_of(path, "#caption"), dashboard.place_of(path, "#prompt")
    address = dashboard.http.get(f"{path}/playwright").json()["address"]
    program = dashboard.playwright.firefox.connect(address).contexts[0].pages[0]
    page.goto(f"{dashboard.url}{path}/live")
    expect(page.locator("#holder")).to_have_text("Programs have control")
    wait_for_picture(page)
    dashboard.click_in_view(caption)  # nothing: this is only a picture yet
    page.get_by_role("button", name="Take over").click()
    expect(page.locator("#holder")).to_have_text("You have control")
    with pytest.raises(Error, match="operator has control"):
        program.click("#log")
    assert program.title() == "Workshop · Practice"
    dashboard.click_in_view(caption)
    page.keyboard.type("by Hand")
    page.locator("#screen").evaluate(ALTGR)
    page.locator("#text").fill(", collé")
    page.get_by_role("button", name="Type it").click()
    expect(page.locator("#text")).to_have_value("")
    wait_for(lambda: program.input_value("#caption") == "by Hand@, collé")
    dashboard.picture("session")
    check_accessibility(page)
    dashboard.click_in_view(prompt)
    expect(page.locator("#dialog")).to_contain_text("The page asks: “Your name?”")
    page.locator("#dialog-answer").fill("Zoe")
    page.get_by_role("button", name="OK").click()
    wait_for(lambda: program.inner_text("#said") == "Name: Zoe")
    page.get_by_role("button", name="New tab").click()
    expect(page.locator("#tabs li")).to_have_count(2)
    for place in ("/workshop/frame", "/login"):
        page.locator("#address").fill(f"{dashboard.site}{place}")
        page.get_by_role("button", name="Go").click()
        wait_for(lambda place=place: any(one["url"].endswith(place) for one in pages()))  # type: ignore[misc]
    for name, place in (("Back", "/frame"), ("Forward", "/login"), ("Reload", "/login")):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator("#address")).to_have_value(re.compile(f"{place}$"))
    page.locator("#tabs button").first.click()
    expect(page.locator("#tabs button").first).to_have_attribute("aria-current", "true")
    dashboard.click_in_view(prompt)
    page.get_by_role("button", name="Cancel").click()
    wait_for(lambda: program.inner_text("#said") == "Name: null")
    dashboard.click_in_view(caption)
    page.get_by_role("button", name="Enter").click()  # sends the form
    wait_for(lambda: pages()[0]["url"].endswith("/post"))
    page.get_by_role("button", name="Back", exact=True).click()
    wait_for(lambda: pages()[0]["url"].endswith("/workshop"))
    page.get_by_role("button", name=re.compile("^Close")).last.click()
    expect(page.locator("#tabs li")).to_have_count(1)
    page.get_by_role("button", name="Hand back").click()
    expect(page.locator("#holder")).to_have_text("Programs have control")
    program.click("#log")
    page.get_by_text("Console", exact=True).click()
    expect(page.locator("#console")).to_contain_text("logged by the page")
    page.get_by_text("Network", exact=True).click()
    expect(page.locator("#network")).to_contain_text("/workshop")
    page.get_by_text("Attach a program").click()
    expect(page.locator("#snippet")).to_contain_text(address)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#told")).to_have_text("Copied.")
    assert address in page.evaluate("navigator.clipboard.readText()")
    expect(page.locator("#feed")).to_contain_text("is controlled by operator")
    lease = dashboard.http.post(f"{path}/control", json={"holder": "human", "name": "Ada"}).json()["lease"]
    page.evaluate("path => sessionStorage.setItem(`lease of ${path}`, 'of long ago')", path)
    page.reload()
    wait_for_picture(page)
    dashboard.click_in_view(caption)
    expect(page.locator("#told")).to_have_text("A person has control of this session")
    dashboard.http.post(f"{path}/control", json={"holder": "programs"}, headers={"X-Control-Lease": lease})
    expect(page.locator("#holder")).to_have_text("Programs have control")
    page.get_by_role("button", name="5 minutes more").click()
    expect(page.locator("#facts")).to_contain_text("9:")
    page.get_by_role("button", name="End", exact=True).click()
    page.get_by_role("button", name="End the session").click()
    expect(page.locator("#facts")).to_contain_text("ended: deleted")
    expect(page.locator("#receipt")).to_contain_text("Left behindnothing")
    expect(page.locator("#receipt")).to_contain_text("Controlled byoperator")
    expect(page.locator("#screen")).to_be_hidden()
    check_accessibility(page)
    receipt = dashboard.http.get(path).json()["session"]["receipt"]
    assert [held["by"] for held in receipt["held"]] == ["operator", "Ada"]


def wait_for_picture(page: Page) -> None:
    """Wait until the live view shows a page: many colours."""
    wait_for(lambda: int(page.locator("#screen").evaluate(PIXELS)) > 10)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + patience(20)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_guest_with_a_link_watches_and_nothing_else(
    serve: Serve, site: str, page: Page, chromium: Browser, playwright: Playwright
) -> None:
    """The operator logs in with the token, makes the link and revokes it; the guest has no token."""
    with serve(GREENROOM_TOKEN=TOKEN) as daemon, httpx.Client(timeout=patience(60)) as http:
        http.base_url = url = daemon.url
        http.headers["Authorization"] = f"Bearer {TOKEN}"
        dashboard = Dashboard(url, site, page, http, playwright)
        path = dashboard.live_session()
        page.goto(f"{url}{path}/live")
        page.get_by_label("The token that the daemon was started with").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#login-problem")).to_contain_text("not a token of the daemon")
        check_accessibility(page)
        page.get_by_label("The token that the daemon was started with").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        wait_for_picture(page)
        page.get_by_text("Links for others").click()
        page.get_by_label("For", exact=True).fill("Bob")
        page.get_by_role("button", name="Make a link").click()
        expect(page.locator("#link-address")).to_have_value(re.compile("#link="))
        address = page.locator("#link-address").input_value()
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy the address").click()
        expect(page.locator("#told")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == address
        page.locator("#link-mode").select_option("control")
        page.locator("#link-ttl").select_option("600")
        page.get_by_role("button", name="Make a link").click()
        expect(page.locator("#links")).to_contain_text("Bob: control")
        guest = chromium.new_context().new_page()
        with contextlib.closing(guest.context):
            guest.goto(address)
            wait_for_picture(guest)
            page.get_by_text("Who watches").click()
            expect(page.locator("#watchers")).to_contain_text("Bob (view) watches")
            expect(guest.get_by_role("button", name="Take over")).to_be_hidden()
            expect(guest.locator("#holder")).to_have_text("Programs have control")
            expect(guest.get_by_text("Links for others")).to_be_hidden()
            guest.goto(url)
            expect(guest.get_by_label("The token that the daemon was started with")).to_be_visible()
            guest.goto(address)
            expect(page.locator("#watchers")).to_contain_text("Bob (view) has left")
            wait_for_picture(guest)
            page.get_by_role("button", name="Revoke the link of Bob").first.click()
            expect(guest.locator("#connection")).to_contain_text("the link has expired or was revoked")
        page.goto(url)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("The token that the daemon was started with")).to_be_visible()


def test_dashboard_comes_back_after_the_daemon_was_killed(
    serve: Serve, site: str, page: Page, playwright: Playwright
) -> None:
    """It says that nobody answers, connects again by itself, and shows what there is then."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
    with serve(bind) as daemon, httpx.Client(base_url=daemon.url, timeout=patience(60)) as http:
        url = daemon.url
        path = Dashboard(url, site, page, http, playwright).live_session()
        page.goto(url)
        expect(page.locator(".card")).to_have_count(1)
        session = page.context.new_page()
        session.goto(f"{url}{path}/live")
        expect(session.locator("#facts")).to_contain_text("live")
        daemon.process.kill()
        expect(page.locator("#connection")).to_contain_text("does not answer")
        expect(session.locator("#connection")).to_contain_text("does not answer")
    with serve(bind):
        expect(page.locator("#connection")).to_be_hidden()
        expect(page.locator(".card")).to_have_count(0)
        expect(session.locator("#connection")).to_contain_text("does not know this session")
        page.get_by_role("button", name="New session").click()
        expect(page.locator(".card")).to_contain_text("live")


def test_two_hundred_sessions_are_listed_and_followed(page: Page) -> None:
    """On a fake machine. The list is there within seconds, and follows what happens."""
    with fake_daemon(200) as url:
        started = time.monotonic()
        page.goto(url)
        expect(page.locator(".card")).to_have_count(200)
        assert time.monotonic() - started < patience(10)
        with httpx.Client(base_url=url, timeout=patience(60)) as http:
            sessions = [session["id"] for session in http.get("/tiktok/session").json()["sessions"]]
            for session in sessions[:20]:
                http.delete(f"/tiktok/session/{session}").raise_for_status()
        expect(page.locator(".card")).to_have_count(180)
        expect(page.locator("#ended tr")).to_have_count(20)
        page.get_by_label("Find").fill(sessions[-1])
        expect(page.locator(".card:visible")).to_have_count(1)
        page.get_by_label("Find").fill("")
        page.locator(".card").last.scroll_into_view_if_needed()
        page.locator(".card").last.get_by_role("button", name="5 minutes more").click()
        expect(page.locator(".card").last).to_contain_text("9:")


@pytest.mark.parametrize(("scope", "shown"), [(Scope.READ, 0), (Scope.CONTROL, 3), (Scope.ADMIN, 4)])
def test_dashboard_shows_what_the_token_is_for(page: Page, scope: Scope, shown: int) -> None:
    """Buttons whose requests the daemon would refuse are not there: to make, extend, end, and to log in."""
    token = Token(name="guest", secret=Secret(TOKEN), scope=scope)
    with fake_daemon(1, token) as url:
        page.goto(url)
        page.get_by_role("textbox", name="The token").fill(TOKEN)
        page.get_by_role("button", name="Log in", exact=True).click()
        expect(page.get_by_role("button", name="Log out guest")).to_be_visible()
        expect(page.locator(".card")).to_have_count(1)
        buttons = page.get_by_role("button").filter(has_not_text=re.compile("Log out"))
        expect(buttons.filter(visible=True)).to_have_count(shown)
        page.locator(".card a").first.click()
        control = page.get_by_role("button", name="Take over")
        expect(control).to_be_visible() if shown else expect(control).to_be_hidden()


@contextlib.contextmanager
def fake_daemon(sessions: int, *tokens: Token) -> Iterator[str]:
    """Run a daemon with so many sessions on a fake machine, in a thread; the value is its address."""
    addresses: queue.Queue[str] = queue.Queue()
    over = threading.Event()

    async def run() -> None:
        settings = DaemonSettings(bind="127.0.0.1:0", warm_sessions=0, max_sessions=sessions)
        async with open_daemon(settings, machine=FakeMachine()) as daemon:
            for _ in range(sessions):
                await daemon.supervisor.create_session()
            daemon.tokens.replace(tokens)
            addresses.put(daemon.url)
            await trio.to_thread.run_sync(over.wait)

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        yield addresses.get(timeout=patience(60))
    finally:
        over.set()
        thread.join()
