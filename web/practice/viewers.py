"""Who is logged in to one practice site: tokens it issued, in memory only."""

import secrets

import attrs

from greenroom.web.practice.pages import Viewer

NAME_LENGTH = 40  # characters of a name that are kept
NAMELESS = "someone"


@attrs.define(eq=False)
class Viewers:
    """The tokens that were issued and not yet forgotten, each with its viewer."""

    _viewers: dict[str, Viewer] = attrs.field(factory=dict, init=False)

    def log_in(self, name: str) -> str:
        """Issue a new token to `name`: every name may log in, as often as it likes."""
        token = secrets.token_urlsafe(24)
        self._viewers[token] = Viewer.named(name.strip()[:NAME_LENGTH] or NAMELESS)
        return token

    def log_out(self, token: str | None) -> None:
        """Forget the token. One that was never issued changes nothing."""
        if token is not None:
            self._viewers.pop(token, None)

    def viewer_of(self, token: str | None) -> Viewer | None:
        """Return who is behind a token, None if it was never issued or is forgotten."""
        return None if token is None else self._viewers.get(token)
