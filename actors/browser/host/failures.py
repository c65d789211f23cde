"""Why an operation came to nothing, found out from what Playwright says."""

import re
from typing import Final

from playwright.async_api import Error
from playwright.async_api import TimeoutError as TimedOut

from greenroom.actors.browser.wire.messages import Failure

# The names under which Firefox reports that a page could not be fetched.
NETWORK_ERROR: Final = re.compile(
    r"NS_ERROR_\w+|NS_BINDING_ABORTED|SSL_ERROR_\w+|SEC_ERROR_\w+|\w+PortAccess"
)
# Playwright's own words, after the name of its method: an error that the page throws may hold any.
_AMBIGUOUS = re.compile(
    r"Locator\.\w+: (?:Error: )?strict mode violation: .*? resolved to (\d+) elements", re.DOTALL
)
_CRASHED = re.compile(r"\w+\.\w+: (?:Page|Target) crashed")
_CLOSED = re.compile(r"\w+\.\w+: Target page, context or browser has been closed")
_LOADING = re.compile(r"\w+\.(?:goto|reload|go_back|go_forward): ")
_WAITED_FOR = re.compile(r"^ *- (waiting for .*)$", re.MULTILINE)
_MAX_CHARS = 1000


class OperationFailed(Exception):
    """An operation came to nothing, but the browser is well; `kind` says why.

    The text is for the client alone: it may quote the page. `matches` is how many elements there are for an
    ambiguous target.
    """

    def __init__(self, kind: Failure, text: str, *, matches: int | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.matches = matches


def failure_of(error: Error, timeout_s: float) -> OperationFailed:
    """Return what an error of Playwright's means for the operation that met with it."""
    message = error.message
    if (ambiguous := _AMBIGUOUS.match(message)) is not None:
        count = int(ambiguous[1])
        return OperationFailed(Failure.AMBIGUOUS, f"The target matches {count} elements", matches=count)
    if isinstance(error, TimedOut):
        return timeout_failure(timeout_s, waited_for=_WAITED_FOR.findall(message)[:1])
    if _CRASHED.match(message):
        return OperationFailed(Failure.CRASHED, "The page has crashed: load it again, or open another")
    if _LOADING.match(message) and (network := NETWORK_ERROR.search(message)) is not None:
        return OperationFailed(Failure.UNREACHABLE, network[0])
    if _CLOSED.match(message):
        return OperationFailed(Failure.NO_PAGE, "The page was closed")
    return OperationFailed(Failure.ACTION, message[:_MAX_CHARS])


def timeout_failure(timeout_s: float, waited_for: list[str] | None = None) -> OperationFailed:
    """Return the failure of an operation that took too long."""
    what = f", {waited_for[0]}" if waited_for else ""
    return OperationFailed(Failure.TIMEOUT, f"Timed out after {timeout_s:g} s{what}"[:_MAX_CHARS])
