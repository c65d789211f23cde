"""Pages that misbehave. Each does it in one way, which a session has to cope with."""

import functools
import itertools
from collections.abc import AsyncIterator

import attrs
import trio
from quart import abort, current_app, render_template, request
from quart.typing import ResponseReturnValue

from greenroom.web.http.serving import reset_connections
from greenroom.web.practice.home import Route, asked_seconds, asked_status, render_home
from greenroom.web.practice.pages import Era, Kind, Page, State, render, render_uncertain
from greenroom.web.practice.viewers import Viewers

MAX_SLOW_S = 60.0
HEAVY_BYTES = 5_000_000
HOME_BYTES = 480_000  # of the home feed itself
HEAVY_LINES = 5
# A PNG's signature and the header of an image of 540 x 960 pixels: enough for a browser to wait for the rest.
IMAGE_START = bytes.fromhex("89504e470d0a1a0a 0000000d 49484452 0000021c 000003c0 08 02 00 00 00 f11737cb")


@attrs.frozen
class TroublePages:
    """The misbehaving pages. Those that show the home feed show the viewer's own."""

    _viewers: Viewers

    @property
    def routes(self) -> tuple[Route, ...]:
        """The pages' paths and views."""
        return (
            Route(
                "/slow", "The home feed after some seconds, 0 to 60.", self.slow, example="/slow?seconds=2"
            ),
            Route("/hang", "Never answers.", self.hang),
            Route("/reset", "Resets the connection instead of answering.", self.reset),
            Route("/endless-image", "The home feed with an image that never finishes.", self.endless_image),
            Route("/endless-image.png", "That image.", self.endless_image_png),
            Route(
                "/error",
                "An error page, with any status from 500 to 599.",
                self.error,
                example="/error?status=503",
            ),
            Route("/captcha", "A security check.", self.captcha),
            Route("/heavy", "The home feed, 5 MB of it, in very long lines.", self.heavy),
            Route("/uncertain", "A page that says nothing about its viewer.", self.uncertain),
        )

    async def slow(self) -> ResponseReturnValue:
        """Answer with the home feed after `seconds`. 400 unless that is a number from 0 to 60."""
        await trio.sleep(asked_seconds(MAX_SLOW_S))
        return render_home(self._viewers)

    async def hang(self) -> ResponseReturnValue:
        """Never answer. Cancelled when the client leaves."""
        await trio.sleep_forever()

    async def reset(self) -> ResponseReturnValue:
        """Reset the connection of this request. 501 if it has none, as in a test client."""
        server, client = request.scope.get("server"), request.scope.get("client")
        if server is None or server[1] is None or client is None:
            abort(501, "this request came on no connection")
        if reset_connections((server[0], server[1]), (client[0], client[1])) == 0:
            abort(501, "this request's connection can't be found")
        await trio.sleep_forever()  # until the server notices

    async def endless_image(self) -> ResponseReturnValue:
        """Answer with a home feed whose load event never comes."""
        return render_home(self._viewers, endless_image=True)

    async def endless_image_png(self) -> ResponseReturnValue:
        """Start an image and never finish it."""
        response = current_app.response_class(_image_start_only(), content_type="image/png")
        response.headers["Cache-Control"] = "no-store"
        response.timeout = None
        return response

    async def error(self) -> ResponseReturnValue:
        """Answer with an error page. 400 unless the wanted status is from 500 to 599."""
        status, phrase = asked_status(range(500, 600), default=500)
        return await render_template("error.html", status=status, phrase=phrase), status

    async def captcha(self) -> ResponseReturnValue:
        """Answer with a security check, which shows neither a viewer nor a way to log in."""
        return render(Page(State.CHALLENGE, Era.UNIVERSAL, Kind.SECURITY_CHECK))

    async def heavy(self) -> ResponseReturnValue:
        """Answer with a home feed of 5 MB."""
        return render_home(self._viewers, ballast=_ballast())

    async def uncertain(self) -> ResponseReturnValue:
        """Answer with a page that says nothing about its viewer. The endpoints say nothing to it either."""
        return render_uncertain()


async def _image_start_only() -> AsyncIterator[bytes]:
    yield IMAGE_START
    await trio.sleep_forever()


@functools.cache
def _ballast() -> str:
    """Return minified JSON in lines of a megabyte, as real pages carry their state.

    It repeats the first words of the specification's patterns, but never the words that complete them. It
    changes no verdict, but an expression such as `user.*avatar` takes quadratic time on it.
    """
    items = (
        f'{{"user":{n:06d},"sign":"{n * 2654435761 % 2**32:08x}","log":{n % 97:02d},"play":"v{n:06d}"}}'
        for n in itertools.count()
    )
    item_bytes = len(next(items)) + 1
    per_line = (HEAVY_BYTES - HOME_BYTES) // HEAVY_LINES // item_bytes + 1
    lines = (",".join(itertools.islice(items, per_line)) for _ in range(HEAVY_LINES))
    return "[" + ",\n".join(lines) + "]"
