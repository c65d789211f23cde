"""What can be done with a live session's browser: one class a command, and nothing else to touch for it.

`SessionHandle.run` takes a command to its session's actor, and its result back.
"""

from typing import Protocol, TypeVar

import attrs

from actors.ports import Browser

T_co = TypeVar("T_co", covariant=True)


class Command(Protocol[T_co]):
    """One thing that is done with a live session's browser.

    The actor knows nothing of commands but this method.
    """

    async def apply(self, browser: Browser) -> T_co:
        """Do it, and return what it is asked for.

        What this raises is the command's answer, and ends nothing else; only `BrowserLost` ends the session.
        It is cancelled when the caller leaves or the session ends, and must then be done soon: the browser is
        closed meanwhile. It has no time limit: that is for the caller to set.
        """


@attrs.frozen
class Probe:
    """Ask the browser for a sign of life."""

    async def apply(self, browser: Browser) -> None:
        """Return once the browser has answered."""
        await browser.probe()
