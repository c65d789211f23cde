"""A session's warm phase: launched ahead, it waits until a caller claims it."""

import contextlib
from collections.abc import Callable

import attrs
import trio

from greenroom.actors.errors import BrowserLost, GreenroomError
from greenroom.actors.lifecycle import EndReason, SessionState
from greenroom.actors.machine.ports import Browser, Machine, Workspace
from greenroom.actors.session.mailbox import Claim
from greenroom.actors.session.record import SessionRecord

# How long a warm session may take to show that it is fit to be handed out.
FITNESS_S = 1.0


@attrs.define(eq=False, repr=False)
class Warming:
    """Waits for a claim and accepts it if the session is healthy. `end` ends the session for a reason."""

    _record: SessionRecord
    _machine: Machine
    _end: Callable[[EndReason], None]
    _claim: Claim | None = attrs.field(default=None, init=False)
    _unclaimed: trio.CancelScope = attrs.field(init=False)

    @property
    def is_open(self) -> bool:
        """Whether the session waits to be claimed."""
        record = self._record
        return record.state is SessionState.WARM and self._claim is None and record.reason is None

    def offer(self, claim: Claim) -> None:
        """Take a claim to be checked, or refuse it if the session can't be claimed now."""
        if self.is_open:
            self._claim = claim
            self._unclaimed.cancel(reason="a caller claims the session")
        else:
            claim.reply_to.close()

    def refuse(self) -> None:
        """Refuse the claim that is being checked: its caller must not wait for this session's end."""
        if self._claim is not None:
            self._claim.reply_to.close()

    async def wait(self, browser: Browser, workspace: Workspace) -> Claim:
        """Wait until a caller who is still there has claimed the session; return the claim, to be answered.

        If the session proves unfit, it ends. Raises `BrowserLost` if the browser is lost while it waits.
        """
        while True:
            with trio.CancelScope() as self._unclaimed:
                await browser.wait_lost()
            if (claim := self._claim) is None:
                raise RuntimeError("the wait ended without a claim")
            if not await self._is_fit(browser, workspace):
                self._end(EndReason.DISCARDED)
                await trio.lowlevel.checkpoint()
            if not claim.caller.has_left:
                return claim
            self._claim = None
            claim.reply_to.close()

    async def is_current(self, workspace: Workspace) -> bool:
        """Return whether a clone made now could be made, and would be the same."""
        with contextlib.suppress(GreenroomError):
            return await self._machine.profile_version(self._record.profile.name) == workspace.profile_version
        return False

    async def _is_fit(self, browser: Browser, workspace: Workspace) -> bool:
        """Return whether the browser answers, and the master profile is what it was."""
        with trio.move_on_after(FITNESS_S), contextlib.suppress(BrowserLost):
            await browser.probe()
            return await self.is_current(workspace)
        return False
