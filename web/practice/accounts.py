"""What tells who the viewer is without a page: the two endpoints that the real site's scripts ask."""

from urllib.parse import parse_qsl, urlsplit

from quart import request
from quart.typing import ResponseReturnValue

from greenroom.web.practice.home import Route, current_viewer
from greenroom.web.practice.pages import INVENTED_VIEWER, NoSuchPage, Page, State, Viewer, render_uncertain
from greenroom.web.practice.viewers import Viewers

SILENT_PAGES = ("/captcha", "/uncertain")
SESSION_EXPIRED = {
    "data": {
        "captcha": "",
        "desc_url": "",
        "description": "Nobody is logged in here",
        "error_code": 1,
        "name": "session_expired",
    },
    "message": "error",
}
CHALLENGED = {"code": 10000, "type": "verify", "message": "verify"}


class AccountEndpoints:
    """The endpoints, and a page on which nothing else tells.

    They answer for the viewer by cookie, except to a script of a page that is not the cookie's: asked from
    `/page` (by the Referer) they answer for that page's state, and a challenge, or a page that tells nothing,
    gets a 403 that tells nothing either.
    """

    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self.routes: tuple[Route, ...] = (
            Route("/api-only", "A page in which nothing tells its viewer; the endpoints do.", self.api_only),
            Route("/passport/web/account/info/", "The viewer's account, as JSON.", self.account_info),
            Route(
                "/node-webapp/api/common-app-context",
                "What pages know of their viewer, as JSON.",
                self.context,
            ),
        )

    async def api_only(self) -> ResponseReturnValue:
        """Answer with a page without evidence, on whose behalf the endpoints do answer."""
        return render_uncertain()

    async def account_info(self) -> ResponseReturnValue:
        """Answer with the account of the viewer, or that the session has expired: both with 200."""
        viewer, is_silent = self._asker()
        if is_silent:
            return CHALLENGED, 403
        if viewer is None:
            return SESSION_EXPIRED
        account = {
            "user_id": int(viewer.uid),
            "user_id_str": viewer.uid,
            "username": viewer.handle,
            "screen_name": viewer.handle.title(),
            "sec_user_id": viewer.sec_uid,
            "has_password": 1,
            "mobile": "",
        }
        return {"data": account, "message": "success"}

    async def context(self) -> ResponseReturnValue:
        """Answer with the context of the viewer's pages, which has a `user` where somebody is logged in."""
        viewer, is_silent = self._asker()
        if is_silent:
            return CHALLENGED, 403
        context: dict[str, object] = {
            "language": "en",
            "region": "NL",
            "appId": 1988,
            "csrfToken": "practice",
        }
        if viewer is not None:
            context["user"] = {"uid": viewer.uid, "uniqueId": viewer.handle, "secUid": viewer.sec_uid}
        return context

    def _asker(self) -> tuple[Viewer | None, bool]:
        """Return for whom to answer, and whether to tell nothing."""
        asked_from = urlsplit(request.headers.get("Referer", ""))
        if asked_from.path in SILENT_PAGES:
            return None, True
        if asked_from.path != "/page":
            return current_viewer(self._viewers), False
        try:
            state = Page.parse(**dict(parse_qsl(asked_from.query))).state
        except (NoSuchPage, TypeError):
            return None, True
        return (INVENTED_VIEWER if state is State.LOGGED_IN else None), state is State.CHALLENGE
