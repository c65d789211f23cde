"""The document that a page shows: how the server answered, and what is visible."""

import contextlib
import re

import attrs
from playwright.async_api import Error, Page, Response

from greenroom.actors.verdict.arrival import Arrival, Shown, path_of, seconds_to_wait, stop
from greenroom.actors.verdict.dom import KNOWN_SELECTORS
from greenroom.actors.verdict.gates import GATE_NAME, MAX_HEADLINE_CHARS, MAX_HEADLINES
from greenroom.actors.verdict.site import is_same_site
from greenroom.actors.verdict.verdict import Finding, LoginReason, Method

# TikTok's own pages have up to 2 MB. One of 30 MB blocks a driver, and all sessions on it, for 12 s.
MAX_HTML_CHARS = 8_000_000
_PAGE_TYPES = {"", "text/html", "application/xhtml+xml"}
_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}", re.ASCII)
_REFUSED, _SERVER_ERROR = 400, 500
_MAX_BEGAN_CHARS = 40
_ERROR_PAGE = re.compile(r"about:(?:net|cert)error\?(?:.*&)?e=(\w{1,60})", re.ASCII)
# Playwright's messages for a page that has meanwhile navigated to another document.
_GONE_ON = re.compile(
    r"context was destroyed|navigat|frame (?:was|got) detached|no such frame", re.IGNORECASE
)

# One synchronous function, so that the page's own code can't run between the check of the length and the end.
# A document is identified by the time at which it began.
_LOOK = """
([limit, captcha, gateName, headlines, chars]) => {
    const isLarge = (element) => {
        const box = element.getBoundingClientRect();
        return box.width > 1 && box.height > 1;
    };
    const isShown = (element) => element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})
        && [element, ...element.children].some(isLarge);
    const shown = (css) => [...document.querySelectorAll(css)].slice(0, 2000).filter(isShown);
    const normal = (name) => (name ?? "").slice(0, chars)
        .replace(/([a-z0-9])(?=[A-Z])/g, "$1-").replaceAll("_", "-").toLowerCase();
    const names = (element) => [normal(element.id), normal(element.dataset?.e2e)].filter(Boolean);
    let seen = [false, [], []];
    try {
        const isGate = new RegExp(gateName);
        const dialogs = "[role=dialog], [role=alertdialog], [aria-modal=true], dialog[open]";
        const hasPosts = document.querySelector("video, article, [data-e2e=recommend-list-item-container]");
        const heads = [...shown(dialogs), ...(hasPosts ? [] : shown("h1, h2, h3"))];
        const gates = [...document.querySelectorAll("[id], [data-e2e]")].slice(0, 20000)
            .filter((element) => names(element).some((name) => isGate.test(name)) && isShown(element));
        seen = [
            shown(captcha).length > 0,
            heads.slice(0, headlines).map((element) => element.innerText.slice(0, chars)),
            gates.slice(0, headlines).flatMap(names),
        ];
    } catch {}
    let began = "", status = 0, html = null;
    try {
        began = String(performance.timeOrigin);
        status = performance.getEntriesByType("navigation")[0].responseStatus;
    } catch {}
    try {
        const all = document.documentElement ? document.documentElement.outerHTML : "";
        html = typeof all === "string" && all.length <= limit ? all : null;
    } catch {}
    // A browser shows its own page of an error under the address of what could not be shown.
    const place = document.documentURI.startsWith("about:") ? document.documentURI : location.href;
    return [place, String(began), Number(status) || 0, document.contentType, seen, html];
}
"""
_WHERE = """
() => {
    let began = "";
    try { began = String(performance.timeOrigin); } catch {}
    return [location.href, String(began)];
}
"""


class PageUnreachable(Exception):
    """No page was loaded; the text is an error's name, an HTTP status, or says what came instead."""


@attrs.define(eq=False, slots=False)  # Playwright sets an attribute on the owner of a bound listener
class Answers:
    """Keeps the last answer for the page's own document. Attach it before the first load."""

    _page: Page
    status: int = attrs.field(default=0, init=False)
    retry_after_s: int | None = attrs.field(default=None, init=False)

    def attach(self) -> None:
        """Listen to the page from now on."""
        self._page.on("response", self._note)

    def _note(self, response: Response) -> None:
        with contextlib.suppress(Error):
            request = response.request
            if request.is_navigation_request() and request.frame == self._page.main_frame:
                self.status = response.status
                self.retry_after_s = seconds_to_wait(response.headers.get("retry-after", ""))


@attrs.frozen
class Sight:
    """What a page showed at one moment, all from a single document. `html` is None if it is too long."""

    arrival: Arrival
    html: str | None


def check_type(response: Response | None) -> None:
    """Raise `PageUnreachable` if the answer is neither a page nor a refusal."""
    if response is not None:
        _check_type(response.headers.get("content-type", ""), response.status)


def _check_type(declared: str, status: int) -> None:
    type_ = declared.partition(";")[0].strip().lower()
    if type_ not in _PAGE_TYPES and status < _REFUSED:
        what = type_ if _TYPE.fullmatch(type_) else "something else"
        raise PageUnreachable(f"{what} came instead of a page")


async def look(page: Page, asked: str, answers: Answers) -> Sight:
    """Return what the page shows now.

    Raises `PageUnreachable` for a server's error or the browser's own error page, and Playwright's `Error`.
    """
    bounds = [MAX_HTML_CHARS, KNOWN_SELECTORS["challenge"], GATE_NAME, MAX_HEADLINES, MAX_HEADLINE_CHARS]
    href, began, told, type_, seen, html = await page.evaluate(_LOOK, bounds)
    if failed := _ERROR_PAGE.match(str(href)):
        raise PageUnreachable(failed[1])
    # A page can override the builtins that `_LOOK` calls, so no type is certain.
    status = (int(told) if isinstance(told, int | float) else 0) or answers.status
    if status >= _SERVER_ERROR:
        raise PageUnreachable(f"HTTP {status}")
    _check_type(type_ if isinstance(type_, str) else "", status)
    arrival = attrs.evolve(
        _arrival(href, began, asked),
        status=status or None,
        retry_after_s=answers.retry_after_s if status == answers.status else None,
        shown=_shown(seen),
    )
    return Sight(arrival, html if isinstance(html, str) else None)


async def whereabouts(page: Page, asked: str) -> Arrival:
    """Return the page's current address and document."""
    href, began = await page.evaluate(_WHERE)
    return _arrival(href, began, asked)


def elsewhere(place: Arrival, method: Method) -> Finding:
    """Return a method's finding on a page of another site than the requested one."""
    stopped = stop("another site", "address", LoginReason.NOT_TIKTOK, may_pass=True)
    return Finding(method=method, evidence=(stopped,), document=place.document)


def unreadable(method: Method) -> Finding:
    """Return a method's finding on a page that can't be inspected."""
    hidden = stop("page can't be looked at", "page", LoginReason.UNREADABLE)
    return Finding(method=method, evidence=(hidden,))


def has_gone_on(error: Error) -> bool:
    """Return whether an inspection failed because the page navigated to another document."""
    return bool(_GONE_ON.search(error.message))


def has_crashed(error: Error) -> bool:
    """Return whether an inspection failed because the page's process has crashed."""
    return "crash" in error.message.lower()


def _arrival(href: str, began: str, asked: str) -> Arrival:
    is_site = is_same_site(asked, href)
    path = path_of(href)
    return Arrival(
        is_elsewhere=not is_site,
        is_proven=is_site,
        path="" if path == path_of(asked) else path,
        document=str(began)[:_MAX_BEGAN_CHARS],
    )


def _shown(seen: object) -> Shown:
    match seen:
        case [captcha, [*headlines], [*names]]:
            texts = (tuple(text for text in given if isinstance(text, str)) for given in (headlines, names))
            return Shown(bool(captcha), *texts)
        case _:
            return Shown()
