"""What a task that serves one client, host or session raises ends there, and nothing else."""

import contextlib
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from actors.errors import GreenroomError, InternalFailure


def as_error(exc: Exception) -> GreenroomError:
    """Return `exc`, or what it holds alone as a group, if that is one of our errors, else an internal one."""
    while isinstance(exc, ExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc if isinstance(exc, GreenroomError) else InternalFailure(exc)


def contain(exc: Exception, log: FilteringBoundLogger, event: str, **fields: object) -> GreenroomError:
    """Return `exc` as an error to answer with.

    What nobody foresaw is logged, as `event`, with its traceback and the id that the answer has too.
    """
    error = as_error(exc)
    if isinstance(error, InternalFailure) and error is not exc:
        report(log.error, event, **fields, error_id=error.id, exc_info=error.__cause__)
    return error


def report(log: Callable[..., object], event: str, **fields: object) -> None:
    """Write to the log, or don't: what can't be written must not be the end of anything either."""
    with contextlib.suppress(Exception):
        log(event, **fields)
