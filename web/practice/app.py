"""The practice site's pages.

| path                                  | answer                                                             |
|---------------------------------------|--------------------------------------------------------------------|
| `/`                                   | the home feed, of the viewer that the cookie `sessionid` names     |
| `/login`                              | GET a form, any values will do; POST sets `sessionid`, goes to `/` |
| `/login?as=NAME`                      | the form, filled in with NAME, which submits itself                |
| `/logout`                             | GET or POST: forgets the token, clears the cookie, goes to `/`     |
| `/practice`                           | this table, for humans                                             |
| `/health`                             | `ok`                                                               |
| `/slow?seconds=S`                     | the home feed after S seconds, 0 to 60                             |
| `/hang`                               | nothing, until the client leaves                                   |
| `/reset`                              | nothing: the TCP connection is reset                               |
| `/endless-image`                      | the home feed with an image that never finishes                    |
| `/endless-image.png`                  | that image: it starts, and never finishes                          |
| `/error?status=N`                     | an error page, with any status from 500 to 599; 500 by default     |
| `/captcha`                            | a security check: neither logged in nor logged out                 |
| `/passing?seconds=S`                  | a firewall's page that passes by itself after S seconds, 0 to 60   |
| `/bounce`                             | an empty page that goes on to `/`                                  |
| `/refused?status=N&retry_after=S`     | a short page with any status from 400 to 499; 403 by default       |
| `/attachment`                         | a download instead of a page                                       |
| `/no-page`                            | JSON instead of a page                                             |
| `/no-content`                         | nothing, with status 204                                           |
| `/closing`                            | a page that closes itself, if the browser lets it                  |
| `/gate?kind=K`                        | the home feed behind a dialog: age, consent, ...                   |
| `/heavy`                              | the home feed, 5 MB of HTML with very long lines                   |
| `/uncertain`                          | a page without evidence; the endpoints keep silent to it too       |
| `/api-only`                           | the same page, but the endpoints below answer it                   |
| `/page?state=&era=&kind=&rendered=`   | any page of `web/practice/pages`, of an invented viewer; else 400  |
| `/obj/oec-ttweb-captcha/sdk.js`       | the script of the shop's captcha, which does nothing               |
| `/workshop`                           | forms, dialogs, a frame, downloads: one of everything to act on    |
| `/workshop/post`                      | POST: a page that shows what the form sent                         |
| `/workshop/frame`                     | the page in its frame                                              |
| `/workshop/download?name=N`           | a small text file to download                                      |
| `/workshop/echo`                      | GET or POST, JSON: what the request was                            |
| `/rotating`                           | the home feed; its logins end after 12 hours, unless renewed       |
| `/rotating/clock?seconds=S`           | POST: moves the clock of those logins on                           |
| `/passport/web/account/info/`         | JSON: the viewer's account, or `session_expired`                   |
| `/node-webapp/api/common-app-context` | JSON: with the viewer as `user`, or without                        |

The home feed has the structure and the weight of the real one: it is the rendered home page of the universal
era. All of its content is invented. It loads nothing from other sites: style, scripts and pictures are
inline, and the Content-Security-Policy forbids anything else.
"""

from quart import Response, redirect, render_template, request
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio

from greenroom.web.practice.accounts import AccountEndpoints
from greenroom.web.practice.gallery import Gallery
from greenroom.web.practice.home import COOKIE, Route, render_home
from greenroom.web.practice.pages import all_pages
from greenroom.web.practice.refusals import RefusalPages
from greenroom.web.practice.rotation import RotatingPages
from greenroom.web.practice.trouble import TroublePages
from greenroom.web.practice.viewers import Viewers
from greenroom.web.practice.workshop import WorkshopPages

COOKIE_MAX_AGE_S = 30 * 24 * 60 * 60
MAX_FORM_BYTES = 64 * 1024
# unsafe-eval, because a browser's driver may evaluate strings in the page.
CONTENT_SECURITY_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data:"


def create_practice_app() -> QuartTrio:
    """Make a practice site with nobody logged in. Each site has viewers of its own."""
    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_FORM_BYTES
    viewers = Viewers()
    pages = HomePages(viewers)
    pages.routes += TroublePages(viewers).routes + RefusalPages(viewers).routes
    pages.routes += Gallery().routes + AccountEndpoints(viewers).routes + WorkshopPages().routes
    pages.routes += RotatingPages(viewers, COOKIE_MAX_AGE_S).routes
    for route in pages.routes:
        app.add_url_rule(route.path, endpoint=route.path, view_func=route.view, methods=list(route.methods))
    app.after_request(_finish)
    return app


class HomePages:
    """The well-behaved pages: the feed, login and logout, the list of pages, the health check."""

    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self.routes: tuple[Route, ...] = (
            Route("/", "The home feed, as a logged-in or a logged-out viewer sees it.", self.home),
            Route(
                "/login",
                "A form: any name and password will do. Given a name, it fills itself in and submits.",
                self.login,
                ("GET", "POST"),
                example="/login?as=demo",
            ),
            Route("/logout", "Logs out and goes to the home feed.", self.logout, ("GET", "POST")),
            Route("/practice", "This page.", self.practice),
            Route("/health", "Says ok.", self.health),
        )

    async def home(self) -> ResponseReturnValue:
        """Answer with the viewer's feed."""
        return render_home(self._viewers)

    async def login(self) -> ResponseReturnValue:
        """Show the form, or log its sender in."""
        if request.method != "POST":
            return await render_template("login.html", name=request.args.get("as", ""))
        form = await request.form
        response = redirect("/", code=303)
        response.set_cookie(
            COOKIE,
            self._viewers.log_in(form.get("username", "")),
            max_age=COOKIE_MAX_AGE_S,
            httponly=True,
            samesite="Lax",
        )
        return response

    async def logout(self) -> ResponseReturnValue:
        """Forget the viewer's token, so that copies of the cookie stop working too."""
        self._viewers.log_out(request.cookies.get(COOKIE))
        response = redirect("/", code=303)
        response.delete_cookie(COOKIE, httponly=True, samesite="Lax")
        return response

    async def practice(self) -> ResponseReturnValue:
        """List all pages."""
        return await render_template("practice.html", routes=self.routes, pages=list(all_pages()))

    async def health(self) -> ResponseReturnValue:
        """Say that the site is up."""
        return "ok", {"Content-Type": "text/plain; charset=utf-8"}


async def _finish(response: Response) -> Response:
    if response.mimetype in ("text/html", "application/json"):
        response.headers["Cache-Control"] = "no-store"
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
