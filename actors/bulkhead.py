"""An exception in a task that serves one client, host or session ends that task and nothing else."""

import contextlib
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from greenroom.actors.errors import GreenroomError, InternalFailure


def as_error(exc: Exception) -> GreenroomError:
    """Return `exc` if it is one of our errors, alone in a group or not; else wrap it in an internal one."""
    # A nursery wraps even a single error in a group.
    while isinstance(exc, ExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc if isinstance(exc, GreenroomError) else InternalFailure(exc)


def contain(exc: Exception, log: FilteringBoundLogger, event: str, **fields: object) -> GreenroomError:
    """Return `exc` as an error to answer with.

    An unexpected one is logged as `event`, with its traceback and the id that the answer also has.
    """
    error = as_error(exc)
    if isinstance(error, InternalFailure) and error is not exc:
        report(log.error, event, **fields, error_id=error.id, exc_info=error.__cause__)
    return error


def report(log: Callable[..., object], event: str, **fields: object) -> None:
    """Write to the log; a line that can't be written must not end anything either."""
    with contextlib.suppress(Exception):
        log(event, **fields)
