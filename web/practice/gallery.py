"""Serves any of the faithful pages, by state, era and kind."""

from quart import abort, request
from quart.typing import ResponseReturnValue

from greenroom.web.practice.home import Route
from greenroom.web.practice.pages import NoSuchPage, Page, render

SDK = "/* A stand-in for the script that would draw a captcha. */\n"


class Gallery:
    """The faithful pages. Their viewer is invented, so cookies make no difference."""

    def __init__(self) -> None:
        self.routes: tuple[Route, ...] = (
            Route(
                "/page",
                "Any of the pages that a login verdict has to tell apart; they are listed below.",
                self.page,
                example="/page?state=logged_in&era=sigi&kind=home",
            ),
            Route(
                "/obj/oec-ttweb-captcha/sdk.js",
                "The script of the shop's captcha: it does nothing.",
                self.sdk,
            ),
        )

    async def page(self) -> ResponseReturnValue:
        """Answer with the page that `state`, `era`, `kind` and, if given, `rendered` (true or false) name.

        If there is no such page, answer 400 and say why.
        """
        wanted = request.args
        try:
            page = Page.parse(
                wanted.get("state", ""),
                wanted.get("era", ""),
                wanted.get("kind", ""),
                wanted.get("rendered", "true"),
            )
        except NoSuchPage as exc:
            abort(400, str(exc))
        return render(page)

    async def sdk(self) -> ResponseReturnValue:
        """Answer with a script that does nothing."""
        return SDK, {"Content-Type": "text/javascript; charset=utf-8"}
