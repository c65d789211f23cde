"""Large bodies: which requests may have one, and how much of them is in memory at once."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import h11

from greenroom.actors.profile.login_files import MAX_BYTES
from greenroom.web.http.limits import Limits

# By the end of the route: bytes and seconds. Multipart has a little around the files, which have 50 MB.
_LARGE: Final[Mapping[bytes, tuple[int, float]]] = {
    b"actions": (3 << 20, 60.0),
    b"fetch": (3 << 20, 60.0),
    b"files": (51 << 20, 300.0),
    b"import": (MAX_BYTES, 60.0),
    # A tool's longest text fits, in UTF-8. The SDK writes out what is wrong in a message: 2 s for each MiB.
    b"mcp": (512 << 10, 60.0),
}
_TARGET = re.compile(
    rb"/(?:tiktok/session/[^/?]+/(actions|fetch|files)|profiles/[^/?]+/(import)|(mcp))(?:\?.*)?", re.DOTALL
)


@attrs.frozen
class Allowance:
    """What one request's body may be: `is_admitted` is false if its client would need the token for more."""

    size: int
    seconds: float
    is_admitted: bool = True


@attrs.define(eq=False, kw_only=True, repr=False)
class LargeBodies:
    """The bodies of one server's requests that are over the usual limit.

    A request reaches the app as a whole, so its body is in memory first. Only clients that `admits` accepts
    by their Authorization headers may send a large one, and all of them together no more than `room_bytes`.
    """

    admits: Callable[[list[str]], bool] = lambda _given: True
    room_bytes: int = 128 << 20
    _taken: int = attrs.field(default=0, init=False)

    def allow(self, request: h11.Request, limits: Limits) -> Allowance:
        """Return what the body of `request` may be."""
        usual = Allowance(limits.body_bytes, limits.body_s)
        match = _TARGET.fullmatch(request.target)
        if match is None:
            return usual
        given = [value.decode("latin-1") for name, value in request.headers if name == b"authorization"]
        if not self.admits(given):
            return attrs.evolve(usual, is_admitted=False)
        return Allowance(*_LARGE[match[match.lastindex or 0]])

    def take(self, size: int) -> bool:
        """Reserve room for `size` more bytes; return whether there is some. `give_back` must follow."""
        if self._taken + size > self.room_bytes:
            return False
        self._taken += size
        return True

    def give_back(self, size: int) -> None:
        """Return room that was taken."""
        self._taken -= size
