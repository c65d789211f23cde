"""The two JSON endpoints that the real site's scripts ask who the viewer is."""

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
    """The endpoints, and a page without any evidence of its own.

    Normally they answer for the viewer that the request's cookie names. A page from `/page` has an invented
    viewer, so a request that comes from one (by its Referer) is answered for that page's state. A challenge,
    or a page that says nothing about its viewer, gets a 403 that says nothing either.
    """

    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self.routes: tuple[Route, ...] = (
            Route("/api-only", "A page that doesn't show its viewer; only the endpoints do.", self.api_only),
            Route("/passport/web/account/info/", "The viewer's account, as JSON.", self.account_info),
            Route(
                "/node-webapp/api/common-app-context",
                "What pages know about their viewer, as JSON.",
                self.context,
            ),
        )

    async def api_only(self) -> ResponseReturnValue:
        """Answer with a page without evidence. The endpoints do answer its scripts."""
        return render_uncertain()

    async def account_info(self) -> ResponseReturnValue:
        """Answer with the viewer's account, or with `session_expired`. The status is 200 either way."""
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
        """Answer with the context of the viewer's pages, with a `user` if somebody is logged in."""
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
        """Return the viewer to answer for, and whether to keep silent about them."""
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
