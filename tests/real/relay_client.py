"""A user's own program, on Playwright: run with a session's address, the practice site and a folder.

It prints what it has seen as one line of JSON. `tests/clients/client.mjs` does the same on Node.
"""

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, sync_playwright

ADDRESS, SITE, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])


def refusal(page: Page, what: str) -> str:
    """Return what Playwright says to something that is refused."""
    try:
        if what == "file":
            page.goto("file:///etc/hostname")
        elif what == "request":
            page.context.request.get(SITE)
        elif what == "close":
            page.close()
        elif what == "context":
            browser = page.context.browser
            assert browser is not None
            browser.new_context()
    except Error as exc:
        return exc.message.splitlines()[0]
    return ""


def use(browser: Browser) -> dict[str, Any]:
    """Use a session as people do."""
    seen: dict[str, Any] = {}
    page = browser.contexts[0].pages[0]
    page.goto(f"{SITE}/workshop")
    page.fill("#caption", "hello")
    page.locator("#story").press_sequentially("once")
    page.select_option("#audience", "friends")
    page.check("#comments")
    page.hover("#hover")
    seen["said"] = page.locator("#said").inner_text()
    page.on("dialog", lambda dialog: dialog.accept("Zoe"))
    page.click("#prompt")
    seen["dialog"] = page.locator("#said").inner_text()
    with page.expect_download() as downloading:
        page.click("#download")
    downloading.value.save_as(FOLDER / "notes.txt")
    seen["download"] = (FOLDER / "notes.txt").read_text()
    with page.expect_popup() as opening:
        page.click("#tab")
    opening.value.click("#inner")
    seen["tab"] = opening.value.locator("#said").inner_text()
    opening.value.close()
    second = browser.contexts[0].new_page()
    second.goto(f"{SITE}/workshop/frame")
    seen["pages"] = len(browser.contexts[0].pages)
    second.close()
    browser.contexts[0].tracing.start(snapshots=True)
    page.reload()
    browser.contexts[0].tracing.stop(path=FOLDER / "trace.zip")
    seen["trace"] = (FOLDER / "trace.zip").read_bytes()[:2].decode()
    page.route("**/workshop/echo", lambda route: route.fulfill(body="routed"))
    seen["route"] = page.evaluate("fetch('/workshop/echo').then((answer) => answer.text())")
    seen["picture"] = page.screenshot()[1:4].decode()
    names = {cookie.get("name") for cookie in browser.contexts[0].storage_state()["cookies"]}
    seen["logged in"] = "sessionid" in names
    (FOLDER / "small.txt").write_text("small")
    (FOLDER / "large.bin").write_bytes(bytes(60 << 20))
    page.set_input_files("#file", [FOLDER / "small.txt", FOLDER / "large.bin"])
    sizes = "files => [...document.getElementById('file').files].map((file) => [file.name, file.size])"
    seen["chosen"] = page.evaluate(sizes)
    page.set_input_files("#file", FOLDER / "small.txt")
    page.click("#post")
    seen["upload"] = page.get_by_text(" bytes)").inner_text()
    seen["refused"] = [refusal(page, what) for what in ("file", "request", "close", "context")]
    return seen


with sync_playwright() as playwright:
    browser = playwright.firefox.connect(ADDRESS)
    seen = use(browser)
    with playwright.firefox.connect(ADDRESS) as other:
        seen["two at once"] = other.contexts[0].pages[0].url == browser.contexts[0].pages[0].url
    browser.close()
    browser = playwright.firefox.connect(ADDRESS)
    seen["back again"] = browser.contexts[0].pages[0].title()
    print(json.dumps(seen))
