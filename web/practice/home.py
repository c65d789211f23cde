"""What the site's pages share: the home feed, and how a page is put on its path."""

from collections.abc import Awaitable, Callable

import attrs
from quart import render_template, request
from quart.typing import ResponseReturnValue

from web.practice.viewers import Viewers

COOKIE = "sessionid"


@attrs.frozen
class Route:
    """A page: where it is, what it does in one sentence for humans, and who answers.

    `example` is the address to try it at, where the bare path is not the best one.
    """

    path: str
    summary: str
    view: Callable[[], Awaitable[ResponseReturnValue]]
    methods: tuple[str, ...] = ("GET",)
    example: str = attrs.field(default=attrs.Factory(lambda self: self.path, takes_self=True), kw_only=True)


async def render_home(viewers: Viewers, *, ballast: str = "", endless_image: bool = False) -> str:
    """Return the home feed as the viewer of the current request sees it.

    `ballast` is text for an inert script element: nothing reads it. `endless_image` puts the image that
    never finishes into the feed.
    """
    name = viewers.name_of(request.cookies.get(COOKIE))
    template = "logged_out.html" if name is None else "logged_in.html"
    return await render_template(template, name=name, ballast=ballast, endless_image=endless_image)
