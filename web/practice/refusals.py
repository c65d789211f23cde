"""Pages that stand between a visitor and the feed, and answers that are not pages."""

import attrs
from markupsafe import escape
from quart import abort, request
from quart.typing import ResponseReturnValue

from greenroom.web.practice.home import Route, asked_seconds, asked_status, render_home
from greenroom.web.practice.pages import Era, Kind, Page, State, render
from greenroom.web.practice.viewers import Viewers

PASS_COOKIE = "practice_pass"  # noqa: S105  # the cookie's name
MAX_PASS_S = 60.0
HEADLINES = {
    "account_suspended": "Your account was suspended",
    "age": "Confirm your age",
    "consent": "We updated our terms",
    "identity": "Verify it's you",
    "two_step": "Enter the 6-digit code",
    "error": "Something went wrong",
}


@attrs.frozen
class RefusalPages:
    """The pages and answers. A feed behind one of them is the viewer's own."""

    _viewers: Viewers

    @property
    def routes(self) -> tuple[Route, ...]:
        """The pages' paths and views."""
        return (
            Route(
                "/passing",
                "A firewall's page that goes on to the home feed by itself after some seconds, 0 to 60.",
                self.passing,
                example="/passing?seconds=1",
            ),
            Route("/bounce", "An empty page that goes on to the home feed at once.", self.bounce),
            Route(
                "/refused",
                "A short page with any status from 400 to 499, and a Retry-After if given.",
                self.refused,
                example="/refused?status=429&retry_after=30",
            ),
            Route("/attachment", "A download instead of a page.", self.attachment),
            Route("/no-page", "JSON instead of a page.", self.no_page),
            Route("/no-content", "An answer without content.", self.no_content),
            Route("/closing", "A page that closes itself.", self.closing),
            Route(
                "/gate",
                "The home feed behind a dialog: " + ", ".join(HEADLINES) + ".",
                self.gate,
                example="/gate?kind=age",
            ),
        )

    async def passing(self) -> ResponseReturnValue:
        """Answer with a page that sets a cookie after `seconds` and reloads; then, with the feed."""
        seconds = asked_seconds(MAX_PASS_S)
        if request.cookies.get(PASS_COOKIE):
            return render_home(self._viewers)
        work = f'document.cookie = "{PASS_COOKIE}=1; path=/passing; max-age=3"; location.reload();'
        passing = f"<script>setTimeout(() => {{ {work} }}, {seconds * 1000:.0f});</script>"
        firewall = render(Page(State.CHALLENGE, Era.UNIVERSAL, Kind.FIREWALL))
        return firewall.replace("</body>", f"{passing}</body>")

    async def bounce(self) -> ResponseReturnValue:
        """Answer with an empty page whose script goes to `/`."""
        return "<!doctype html><script>location.replace('/');</script>"

    async def refused(self) -> ResponseReturnValue:
        """Answer with `status`. 400 unless it is a whole number from 400 to 499."""
        status, phrase = asked_status(range(400, 500), default=403)
        retry_after = request.args.get("retry_after")
        page = f"<!doctype html><title>{escape(phrase)}</title><h1>{escape(phrase)}</h1>"
        return page, status, {"Retry-After": retry_after} if retry_after else {}

    async def attachment(self) -> ResponseReturnValue:
        """Answer with a file to download."""
        return "<p>A page, but to be kept.", {"Content-Disposition": 'attachment; filename="page.html"'}

    async def no_page(self) -> ResponseReturnValue:
        """Answer with JSON."""
        return {"message": "practice"}

    async def no_content(self) -> ResponseReturnValue:
        """Answer with nothing."""
        return "", 204

    async def closing(self) -> ResponseReturnValue:
        """Answer with a page that closes itself at once, if the browser lets it.

        A page with status 403 is inspected more than once, so this one closes between two inspections.
        """
        return "<!doctype html><title>Closing</title><p>Bye.</p><script>window.close();</script>", 403

    async def gate(self) -> ResponseReturnValue:
        """Answer with the feed behind a dialog of that `kind`. 400 if the kind is unknown."""
        headline = HEADLINES.get(request.args.get("kind", ""))
        if headline is None:
            abort(400, f"kind must be one of {', '.join(HEADLINES)}")
        dialog = (
            '<div role="dialog" aria-modal="true" style="position:fixed;inset:20% 25%;background:#222">'
            f"<h2>{escape(headline)}</h2><p>Practice only.</p></div>"
        )
        return render_home(self._viewers).replace("</body>", f"{dialog}</body>")
