"""Who is logged in to a practice site: the tokens that it has issued, in memory only."""

import secrets

import attrs

from greenroom.web.practice.pages import Viewer

NAME_LENGTH = 40  # characters of a name that are kept
NAMELESS = "someone"


@attrs.define(eq=False)
class Viewers:
    """The valid tokens, each with its viewer, and when they were issued, by the site's own clock."""

    clock_s: float = attrs.field(default=0, init=False)
    _viewers: dict[str, Viewer] = attrs.field(factory=dict, init=False)
    _issued: dict[str, float] = attrs.field(factory=dict, init=False)

    def log_in(self, name: str) -> str:
        """Issue a new token to `name`. Any name may log in, any number of times."""
        return self._issue(Viewer.named(name.strip()[:NAME_LENGTH] or NAMELESS))

    def renew(self, token: str | None) -> str:
        """Issue a new token to the viewer of a valid one, which stays valid."""
        viewer = self.viewer_of(token)
        if viewer is None:
            raise ValueError("not a valid token")
        return self._issue(viewer)

    def _issue(self, viewer: Viewer) -> str:
        token = secrets.token_urlsafe(24)
        self._viewers[token], self._issued[token] = viewer, self.clock_s
        return token

    def age_of(self, token: str | None) -> float | None:
        """Return how many seconds ago a token was issued; None if it is not valid."""
        return None if token not in self._viewers else self.clock_s - self._issued[str(token)]

    def log_out(self, token: str | None) -> None:
        """Forget the token. An unknown token changes nothing."""
        if token is not None:
            self._viewers.pop(token, None)

    def viewer_of(self, token: str | None) -> Viewer | None:
        """Return the viewer of a token; None if the token is not valid."""
        return None if token is None else self._viewers.get(token)
