"""What tells that a host, or a session's browser in it, is lost."""

import attrs
import trio

from greenroom.actors.errors import BrowserLost


@attrs.define(eq=False)
class Loss:
    """Whether a host, or a session's browser in it, is lost, and why. The first reason stays."""

    why: str = attrs.field(default="", init=False)
    _event: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def has_happened(self) -> bool:
        """Whether it is lost."""
        return self._event.is_set()

    def happen(self, why: str) -> None:
        """Wake everybody who waits."""
        if not self.has_happened:
            self.why = why
            self._event.set()

    async def wait(self) -> None:
        """Return once it is lost."""
        await self._event.wait()

    def error(self) -> BrowserLost:
        """Return an error that tells why it was lost."""
        return BrowserLost("The browser was lost", detail=self.why)
