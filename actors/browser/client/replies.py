"""The errors that a host's refusals stand for."""

from collections.abc import Callable, Mapping
from typing import Final

from greenroom.actors.browser.wire.messages import Failed, Failure
from greenroom.actors.errors import (
    ActionFailed,
    ActionTimedOut,
    AmbiguousTarget,
    BrowserLost,
    DialogOpen,
    GreenroomError,
    NavigationFailed,
    NoSuchFile,
    NoSuchPage,
    PageCrashed,
    PageTooLarge,
    StaleRef,
)

TIMED_OUT: Final = "The page did not do this in time"
TOO_LARGE: Final = "The result is too large to be sent"

_ERRORS: Mapping[Failure, tuple[type[ActionFailed], str]] = {
    Failure.ACTION: (ActionFailed, "The browser could not do this with its page"),
    Failure.TIMEOUT: (ActionTimedOut, TIMED_OUT),
    Failure.TOO_LARGE: (PageTooLarge, TOO_LARGE),
    Failure.STALE_REF: (StaleRef, "The ref is not of the page's latest snapshot"),
    Failure.AMBIGUOUS: (AmbiguousTarget, "The target matches several elements"),
    Failure.UNREACHABLE: (NavigationFailed, "The page could not be loaded"),
    Failure.CRASHED: (PageCrashed, "The page has crashed"),
    Failure.DIALOG: (DialogOpen, "The page shows a dialog"),
    Failure.NO_PAGE: (NoSuchPage, "There is no such page"),
    Failure.NO_FILE: (NoSuchFile, "There is no such file"),
}


def failure_of(failed: Failed, redact: Callable[[str], str]) -> GreenroomError:
    """Return the error for an operation that failed."""
    if failed.kind is Failure.BROWSER:
        return BrowserLost("The browser does not show its page", detail=redact(failed.detail))
    kind, message = _ERRORS[failed.kind]
    error = kind(message, detail=redact(failed.detail), told=redact(failed.told))
    if isinstance(error, AmbiguousTarget):
        error.matches = failed.matches
    return error
