"""The pages about ended sessions and the API in a real Chromium, over a daemon with a fake machine."""

import contextlib
import queue
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.history import open_history
from greenroom.supervisor.history.file import HistoryFile
from greenroom.web.commands.serve import open_daemon
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.supervisor.history.entries import FULL, ended

pytestmark = pytest.mark.browser


@contextlib.contextmanager
def daemon_with_history(path: Path, *bundles: str) -> Iterator[str]:
    """Run a daemon in a thread, with the history in a file; the value is its address."""
    addresses: queue.Queue[str] = queue.Queue()
    over = threading.Event()

    async def run() -> None:
        settings = DaemonSettings(bind="127.0.0.1:0", warm_sessions=0)
        machine = FakeMachine()
        machine.bundles.update({session: {} for session in bundles})
        async with (
            open_history(path, days=30) as history,
            open_daemon(settings, machine=machine, history=history) as daemon,
        ):
            addresses.put(daemon.url)
            await trio.to_thread.run_sync(over.wait)

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        yield addresses.get(timeout=patience(60))
    finally:
        over.set()
        thread.join()


def fill(path: Path) -> None:
    """Write 60 sessions that were served an hour ago and before, and one that broke now."""
    now = datetime.now(UTC)
    with contextlib.closing(HistoryFile.open(path)) as file:
        file.add(ended(ended_at=now - timedelta(hours=2 + number)) for number in range(60))
        broken = attrs.evolve(FULL, id="broken-one", ended_at=now)
        file.add([attrs.evolve(broken, profile="default")])


def check_accessibility(page: Page) -> None:
    """Fail on anything that axe-core finds, light or dark, and on a page wider than a narrow screen."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
    page.set_viewport_size({"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_client_authors_read_what_the_daemon_does(page: Page, tmp_path: Path) -> None:
    """All of the description, offline: the policy lets the page load nothing from elsewhere."""
    with daemon_with_history(tmp_path / "history.sqlite3") as url:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/docs")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_text("Create a session: a logged-in browser")).to_be_visible()
        expect(page.get_by_text("NOT_LOGGED_IN").first).to_be_attached()
        assert {address for address in asked if not address.startswith(url)} == set()
        check_accessibility(page)


def test_operator_sees_how_sessions_ended(page: Page, tmp_path: Path) -> None:
    """With figures, filters and pages; reachable from the overview, by keyboard and on a narrow screen."""
    path = tmp_path / "history.sqlite3"
    fill(path)
    with daemon_with_history(path, "broken-one") as url:
        page.goto(url)
        page.get_by_role("link", name="History").click()
        rows = page.locator("#ended tr")
        expect(rows).to_have_count(50)
        expect(page.locator("#summary")).to_have_text("61 sessions have ended: 60 served, 1 broken")
        expect(rows.first).to_contain_text(re.compile(r"browser lost \(BrowserLost\) . left: clone bundle"))
        link = rows.first.get_by_role("link", name="bundle")
        expect(link).to_have_attribute("href", "/tiktok/session/broken-one/bundle")
        creation = page.locator("#figures tr").first
        expect(creation).to_have_text(re.compile(r"creation\s*61" + r"\s*0\.20 s" * 3))
        bar = creation.get_by_role("progressbar")
        assert bar.evaluate("bar => [bar.value, bar.max]") == [FULL.creation_ms, FULL.phase_ms["launching"]]
        page.get_by_role("button", name="Older").click()
        expect(rows).to_have_count(61)
        expect(page.get_by_role("button", name="Older")).to_be_hidden()
        check_accessibility(page)
        page.get_by_label("Outcome").select_option("broken")
        expect(rows).to_have_count(1)
        page.get_by_label("Outcome").select_option("any")
        page.get_by_label("Reason").select_option("browser lost")
        expect(rows).to_have_count(1)
        page.get_by_label("Reason").select_option("any")
        page.get_by_role("combobox", name="Ended").select_option("in the last hour")
        expect(rows).to_have_count(1)
        page.get_by_label("Profile").fill("other")
        page.get_by_label("Profile").press("Enter")
        expect(rows).to_have_text("none")
        expect(page.locator("#summary")).to_have_text("0 sessions have ended")
        page.get_by_label("Profile").fill("No Such!")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#told")).to_contain_text("$.profile")
        page.get_by_role("link", name="All sessions").click()
        expect(page.get_by_text("There is no session")).to_be_visible()
