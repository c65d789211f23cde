"""Who is logged in to a practice site: the tokens that it has issued, in memory only."""

import secrets

import attrs

from greenroom.web.practice.pages import Viewer

NAME_LENGTH = 40  # characters of a name that are kept
NAMELESS = "someone"


@attrs.define(eq=False)
class Viewers:
    """The valid tokens, each with its viewer."""

    _viewers: dict[str, Viewer] = attrs.field(factory=dict, init=False)

    def log_in(self, name: str) -> str:
        """Issue a new token to `name`. Any name may log in, any number of times."""
        token = secrets.token_urlsafe(24)
        self._viewers[token] = Viewer.named(name.strip()[:NAME_LENGTH] or NAMELESS)
        return token

    def log_out(self, token: str | None) -> None:
        """Forget the token. An unknown token changes nothing."""
        if token is not None:
            self._viewers.pop(token, None)

    def viewer_of(self, token: str | None) -> Viewer | None:
        """Return the viewer of a token; None if the token is not valid."""
        return None if token is None else self._viewers.get(token)
