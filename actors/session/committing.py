"""The end of a session that writes the profile: whether there is a next generation, and why not."""

import structlog
import trio

from greenroom.actors.bulkhead import report
from greenroom.actors.errors import GreenroomError
from greenroom.actors.lifecycle import Commit
from greenroom.actors.machine.ports import Workspace
from greenroom.actors.session.record import SessionRecord
from greenroom.actors.verdict import LoginState

_log = structlog.get_logger("greenroom.session")


async def commit(record: SessionRecord, workspace: Workspace, *, is_closed: bool) -> Commit:
    """Commit a live session's copy of the profile, if it may be; return what came of that. Never raises.

    It may be only if its browser has saved it and quit, and the page has shown a login at last.
    """
    problem = _problem(record, is_closed=is_closed)
    if problem is None:
        # To wait is safer than to leave a thread behind that exchanges directories.
        with trio.CancelScope(shield=True):
            try:
                number = await workspace.commit()
            except Exception as exc:
                error = exc if isinstance(exc, GreenroomError) else None
                problem = str(error) if error else "The profile could not be committed"
                report(
                    _log.error,
                    "the profile was not committed",
                    session_id=record.id,
                    detail=(error.detail if error else None) or repr(exc),
                )
            else:
                report(_log.info, "the profile was committed", session_id=record.id, generation=number)
                return Commit(generation=number)
    return Commit(problem=problem)


def _problem(record: SessionRecord, *, is_closed: bool) -> str | None:
    if record.verdict is None or record.verdict.state is not LoginState.LOGGED_IN:
        return "The page did not show a login at last"
    if record.error is not None and record.reason is not None:
        return f"The session ended as {record.reason.value}"
    return None if is_closed else "The browser did not close by itself"
