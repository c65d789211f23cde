"""What can be done with a live session's browser: a class for each command.

`SessionHandle.run` runs one. A new command needs its class, and nothing else.
"""

from typing import Protocol, TypeVar

import attrs

from greenroom.actors.machine.ports import Browser

T_co = TypeVar("T_co", covariant=True)


class Command(Protocol[T_co]):
    """One thing to do with a live session's browser."""

    async def apply(self, browser: Browser) -> T_co:
        """Do it and return the result.

        What this raises goes to the caller and ends nothing else; only `BrowserLost` ends the session. It is
        cancelled when the caller leaves or the session ends. The session doesn't wait for it to react: the
        browser may be closed under it. Time limits are the caller's.
        """


@attrs.frozen
class Probe:
    """Ask the browser for a sign of life."""

    async def apply(self, browser: Browser) -> None:
        """Return once the browser has answered."""
        await browser.probe()
