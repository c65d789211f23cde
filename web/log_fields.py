"""What may be in a line of the log: an allow-list, so that a new field has to be thought about.

Nothing in it is a cookie, a token, a password, what was typed, or what a page shows. Texts under `error`,
`detail`, `details` and `line` were redacted, or come from Greenroom itself.
"""

from typing import Final

import structlog

FIELDS: Final = frozenset(
    {
        # of each line
        *("event", "level", "logger", "timestamp", "exc_info", "exception", "stack_info", "traceback"),
        # which thing the line is about
        *("session_id", "profile", "host", "request_id", "error_id", "owner", "pids", "bundle", "generation"),
        # a request, and who has sent it
        *("who", "link", "method", "path", "status", "code", "call", "request", "command"),
        # what has happened to a session
        *("state", "reason", "phase", "phase_ms", "login_state", "login_reason", "login_method", "login_ms"),
        *("kind", "ms", "outcome", "by", "until", "left"),
        # what went wrong, and where
        *(
            "error",
            "detail",
            "details",
            "why",
            "problem",
            "problems",
            "check",
            "line",
            "file",
            "aside",
            "certificate",
        ),
        # the daemon
        *("signal", "changed", "sessions", "entries", "copied_bytes", "of_bytes"),
        *("count", "times", "failures", "of", "of_logger"),
    }
)


def keep_allowed(
    _logger: object, _name: str, event_dict: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave out the fields that are not in the list, and say so by name. A processor of structlog."""
    unknown = sorted(name for name in event_dict if name not in FIELDS and not name.startswith("_"))
    if not unknown:
        return event_dict
    return {name: value for name, value in event_dict.items() if name not in unknown} | {"left_out": unknown}
