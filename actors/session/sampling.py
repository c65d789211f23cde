"""What a session uses, sampled again and again for as long as it has a workspace."""

from collections.abc import Callable
from typing import Final

import attrs
import structlog
import trio

from greenroom.actors.bulkhead import report
from greenroom.actors.errors import OverBudget
from greenroom.actors.lifecycle import EndReason
from greenroom.actors.machine.ports import Workspace
from greenroom.actors.machine.sampler import ScanFailed
from greenroom.actors.session.record import SessionRecord
from greenroom.actors.session.spec import SessionSpec
from greenroom.actors.session.warming import Warming

# How often what a session uses is sampled: each sample costs some 30 ms of a core.
SAMPLE_S: Final = 5.0

_log = structlog.get_logger("greenroom.session")


@attrs.define(eq=False, repr=False)
class Sampling:
    """Keeps the record's `usage` fresh, and ends a warm session that can't be used any more.

    `end` ends the session for a reason.
    """

    _spec: SessionSpec
    _record: SessionRecord
    _warming: Warming
    _end: Callable[[EndReason], None]

    async def run(self, workspace: Workspace) -> None:
        """Sample until there is a reason to end. Raises `OverBudget` once the session uses too much.

        A sample that fails, as without a thread or a file descriptor left, is only missing.
        """
        is_failing = False
        while self._record.reason is None:
            await trio.sleep(SAMPLE_S)
            try:
                await self._sample(workspace)
                is_failing = False
            except OverBudget:
                raise
            except ScanFailed:  # logged already, once for all sessions
                pass
            except Exception as exc:
                if not is_failing:
                    report(_log.warning, "samples can't be taken", session_id=self._spec.id, detail=repr(exc))
                is_failing = True

    async def _sample(self, workspace: Workspace) -> None:
        is_stale = self._warming.is_open and not await self._warming.is_current(workspace)
        if is_stale and self._warming.is_open:
            self._end(EndReason.DISCARDED)
            return
        usage = await workspace.measure()
        self._record.note_usage(usage)
        if breach := self._spec.budget.breach(usage):
            raise OverBudget(breach)
