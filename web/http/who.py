"""Who asks: an operator, who may do everything, or somebody with a link to one session."""

from typing import Final

import attrs

from greenroom.actors.lifecycle import WatchMode
from greenroom.web.http.errors import NotAllowed
from greenroom.web.http.links import Link

_VIEW: Final = frozenset(
    {
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/watch"),
        ("GET", "/live.jpg"),
        ("GET", "/live.mjpeg"),
        ("GET", "/pages"),
        ("GET", "/control"),
    }
)
_CONTROL: Final = _VIEW | {("POST", "/control"), ("POST", "/actions")}


_EXTENT: Final = {WatchMode.VIEW: " only", WatchMode.CONTROL: " and taking control of it"}


@attrs.frozen
class Who:
    """Who asks; `link` is None for an operator."""

    link: Link | None = None

    @property
    def name(self) -> str:
        """What others are shown of them."""
        return "operator" if self.link is None else self.link.name

    @property
    def key(self) -> str | None:
        """The id of their link; None for an operator."""
        return None if self.link is None else self.link.id

    @property
    def mode(self) -> WatchMode:
        """What they may do where they watch."""
        return WatchMode.CONTROL if self.link is None else self.link.mode

    def check(self, method: str, path: str) -> None:
        """Raise `NotAllowed` unless they may ask this."""
        if self.link is None:
            return
        base = f"/tiktok/session/{self.link.session_id}"
        allowed = _CONTROL if self.link.mode is WatchMode.CONTROL else _VIEW
        if not path.startswith(base) or (method, path[len(base) :]) not in allowed:
            raise NotAllowed("This link is for watching one session" + _EXTENT[self.link.mode])
