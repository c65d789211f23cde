"""Who is logged in to one practice site: tokens it issued, in memory only."""

import secrets

import attrs

NAME_LENGTH = 40  # characters of a name that are kept
NAMELESS = "someone"


@attrs.define(eq=False)
class Viewers:
    """The tokens that were issued and not yet forgotten, each with its viewer's name."""

    _names: dict[str, str] = attrs.field(factory=dict, init=False)

    def log_in(self, name: str) -> str:
        """Issue a new token to `name`: every name may log in, as often as it likes."""
        token = secrets.token_urlsafe(24)
        self._names[token] = name.strip()[:NAME_LENGTH] or NAMELESS
        return token

    def log_out(self, token: str | None) -> None:
        """Forget the token. One that was never issued changes nothing."""
        if token is not None:
            self._names.pop(token, None)

    def name_of(self, token: str | None) -> str | None:
        """Return the name behind a token, None if it was never issued or is forgotten."""
        return None if token is None else self._names.get(token)
