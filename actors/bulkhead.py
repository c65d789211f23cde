"""What a task that serves one client, host or session raises ends there, and nothing else."""

import contextlib

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
        with contextlib.suppress(Exception):  # the log may be what is broken
            log.error(event, **fields, error_id=error.id, exc_info=error.__cause__)
    return error
