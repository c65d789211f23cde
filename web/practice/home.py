"""What the site's pages share: routes, query parameters and the home feed."""

import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import attrs
from quart import abort, request
from quart.typing import ResponseReturnValue

from greenroom.web.practice.pages import Era, Kind, Page, State, Viewer, render
from greenroom.web.practice.viewers import Viewers

COOKIE = "sessionid"
ENDLESS_IMAGE = """<article class="post">
<div class="video"><img src="/endless-image.png" alt="A picture that never finishes"></div>
</article>"""


@attrs.frozen
class Route:
    """A page's path, a sentence that tells humans what it does, and the view that answers.

    `example` is the address to try; give one if the bare path is a poor example.
    """

    path: str
    summary: str
    view: Callable[[], Awaitable[ResponseReturnValue]]
    methods: tuple[str, ...] = ("GET",)
    example: str = attrs.field(default=attrs.Factory(lambda self: self.path, takes_self=True), kw_only=True)


def asked_seconds(most_s: float) -> float:
    """Return the current request's `seconds`, 1 by default. Answers 400 unless it is from 0 to `most_s`."""
    seconds = _number(request.args.get("seconds", "1"))
    if not 0 <= seconds <= most_s:
        abort(400, f"seconds must be a number from 0 to {most_s:g}")
    return seconds


def asked_status(statuses: range, *, default: int) -> tuple[int, str]:
    """Return the current request's `status` and its phrase. Answers 400 unless it is in `statuses`."""
    status = _number(request.args.get("status", str(default)))
    if status not in statuses:
        abort(400, f"status must be a whole number from {statuses[0]} to {statuses[-1]}")
    phrases = {known.value: known.phrase for known in HTTPStatus}
    return int(status), phrases.get(int(status), "Server Error" if status >= 500 else "Refused")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def current_viewer(viewers: Viewers) -> Viewer | None:
    """Return the viewer that the current request's cookie names; None if nobody is logged in."""
    return viewers.viewer_of(request.cookies.get(COOKIE))


def render_home(viewers: Viewers, *, ballast: str = "", endless_image: bool = False) -> str:
    """Return the home feed as the viewer of the current request sees it.

    `ballast` is put into an inert script element; nothing reads it. `endless_image` adds an image that never
    finishes loading.
    """
    viewer = current_viewer(viewers)
    page = Page(State.LOGGED_OUT if viewer is None else State.LOGGED_IN, Era.UNIVERSAL, Kind.HOME)
    tail = f'<script type="application/json" id="feed-state">\n{ballast}\n</script>' if ballast else ""
    return render(page, viewer, feed_top=ENDLESS_IMAGE if endless_image else "", tail=tail)
