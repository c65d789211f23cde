"""Errors without the exception groups that nurseries put around them."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def sole_error_bare(*, layers: float) -> Iterator[None]:
    """Unwrap an error that is alone in its exception group, up to `layers` groups deep, to hide nurseries."""
    try:
        yield
    except BaseExceptionGroup as group:
        sole: BaseException = group
        while layers > 0 and isinstance(sole, BaseExceptionGroup) and len(sole.exceptions) == 1:
            sole = sole.exceptions[0]
            layers -= 1
        if sole is group:
            raise
        raise sole from sole.__cause__
