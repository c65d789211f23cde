"""What goes wrong between a client and the daemon."""

from collections.abc import Mapping

import msgspec

from greenroom.web.http.headers import REQUEST_ID_HEADER
from greenroom.web.http.schemas import ErrorDetails, TikTokSessionErrorResponse
from greenroom.web.terminal import one_line


class ClientError(Exception):
    """The base class of what a client raises. Its text is one line for people, without control characters."""


class DaemonUnreachable(ClientError):
    """No daemon answers at the address, or something else does.

    `was_asked` says that the connection broke later: the daemon may have done what it was asked for.
    `is_absent` says that nothing listens at the address, and `hint` what to do about it.
    """

    def __init__(
        self, text: str, *, was_asked: bool = False, is_absent: bool = False, hint: str | None = None
    ) -> None:
        super().__init__(text)
        self.was_asked = was_asked
        self.is_absent = is_absent
        self.hint = "`greenroom serve` starts one" if is_absent else hint


class ApiError(ClientError):
    """The daemon refuses, or has failed.

    `code` is for programs: docs/errors.md lists the codes. `status` is the HTTP status, and
    `message` the summary that goes with the code. `retryable` says that the same request may well succeed
    later, `retry_after_s` after how many seconds, None if that is not known. `request_id` is in the daemon's
    log, too. `details` has whatever else is known, such as the results of the actions before the one that
    failed; its fields are those of the API.
    """

    def __init__(
        self,
        status: int,
        message: str,
        details: ErrorDetails,
        *,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(_text_of(message, details))
        self.code = details.code
        self.status = status
        self.message = message
        self.retryable = details.retryable
        self.retry_after_s = retry_after_s
        self.request_id = details.request_id or request_id
        self.details = details


def error_in(status: int, headers: Mapping[str, str], content: bytes, *, url: str) -> ClientError:
    """Return the error that an answer is which is no success."""
    try:
        failure = msgspec.json.decode(content, type=TikTokSessionErrorResponse)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return no_daemon(url, status)
    return ApiError(
        status,
        failure.message,
        failure.error_details,
        request_id=headers.get(REQUEST_ID_HEADER),
        retry_after_s=_seconds(headers.get("Retry-After", "")),
    )


def no_daemon(url: str, status: int) -> DaemonUnreachable:
    """Return the error for an answer that no daemon gives."""
    return DaemonUnreachable(f"What answers at {url} is no Greenroom daemon (HTTP {status})")


def _text_of(message: str, details: ErrorDetails) -> str:
    holder = f"by {details.holder.program}" if details.holder else None
    said = (message, details.hint or details.explanation or holder or details.details)
    return one_line(": ".join(dict.fromkeys(said)))


def _seconds(text: str) -> float | None:
    """Return a number of seconds; None for a date, which only a proxy would send."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
