"""The event that a host, or a session's browser in it, is lost."""

import attrs
import trio

from greenroom.actors.errors import BrowserLost


@attrs.define(eq=False)
class Loss:
    """Whether a host, or a session's browser in it, is lost, and why. Only the first reason is kept."""

    why: str = attrs.field(default="", init=False)
    _event: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def has_happened(self) -> bool:
        """Whether the loss has happened."""
        return self._event.is_set()

    def happen(self, why: str) -> None:
        """Declare the loss and wake everybody who waits for it."""
        if not self.has_happened:
            self.why = why
            self._event.set()

    async def wait(self) -> None:
        """Wait for the loss."""
        await self._event.wait()

    def error(self) -> BrowserLost:
        """Return an error that says why it is lost."""
        return BrowserLost("The browser was lost", detail=self.why)
