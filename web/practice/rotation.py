"""A feed whose logins end, unless they are renewed, by a clock that tests can move."""

from quart import Response, request
from quart.typing import ResponseReturnValue

from greenroom.web.practice.home import COOKIE, Route, asked_seconds, render_home
from greenroom.web.practice.viewers import Viewers

LIFE_S = 12 * 60 * 60
_MOST_S = 365 * 24 * 60 * 60


class RotatingPages:
    """The feed, as sites show it that renew logins.

    A token ends `LIFE_S` after its login. A visit in the second half of that time gets a new one; the old one
    goes on to its end.
    """

    def __init__(self, viewers: Viewers, cookie_max_age_s: int) -> None:
        self._viewers = viewers
        self._cookie_max_age_s = cookie_max_age_s
        self.routes: tuple[Route, ...] = (
            Route("/rotating", "The home feed; its logins end after 12 hours, unless renewed.", self.feed),
            Route(
                "/rotating/clock",
                "POST: moves the clock of those logins on.",
                self.move_clock,
                ("POST",),
                example="/rotating/clock?seconds=3600",
            ),
        )

    async def feed(self) -> ResponseReturnValue:
        """Answer with the viewer's feed, and renew their login."""
        token = request.cookies.get(COOKIE)
        age_s = self._viewers.age_of(token)
        if age_s is not None and age_s > LIFE_S:
            self._viewers.log_out(token)
        response = Response(render_home(self._viewers), content_type="text/html; charset=utf-8")
        if age_s is not None and LIFE_S / 2 < age_s <= LIFE_S:
            response.set_cookie(
                COOKIE,
                self._viewers.renew(token),
                max_age=self._cookie_max_age_s,
                httponly=True,
                samesite="Lax",
            )
        return response

    async def move_clock(self) -> ResponseReturnValue:
        """Let time pass."""
        self._viewers.clock_s += asked_seconds(_MOST_S)
        return "", 204
