"""The log: on a terminal and in systemd's journal one readable line per event, otherwise one JSON object.

Lines for the journal begin with their priority, as sd-daemon(3) has it, which the journal takes off.
"""

import functools
import logging
import os
import sys
import syslog
import time
from typing import Final, TextIO

import structlog

from greenroom.actors.browser.client.failure import unframe
from greenroom.actors.events import EventKind, SessionEvent
from greenroom.actors.lifecycle import DEFAULT_PROFILE, EndReason, SessionState
from greenroom.web.http.session_paths import bundle_path
from greenroom.web.log_fields import keep_allowed
from greenroom.web.repeats import RepeatFilter
from greenroom.web.settings.choices import LogFormat, LogLevel
from greenroom.web.streams import PatientStream

_log = structlog.get_logger("greenroom.session")

_PRIORITIES: Final = (
    (logging.CRITICAL, syslog.LOG_CRIT),
    (logging.ERROR, syslog.LOG_ERR),
    (logging.WARNING, syslog.LOG_WARNING),
    (logging.INFO, syslog.LOG_INFO),
)


def configure_logging(*, level: LogLevel = LogLevel.INFO, style: LogFormat = LogFormat.AUTO) -> None:
    """Send our log and the libraries' to standard error: ours from `level` on, theirs from WARNING on.

    DEBUG adds every state, and the output of browsers and their hosts. ERROR leaves only failures of
    Greenroom itself.
    """
    terminal, journal = sys.stderr.isatty(), _is_journal(sys.stderr)
    is_text = style is LogFormat.TEXT or (style is LogFormat.AUTO and (terminal or journal))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        keep_allowed,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    if not (is_text and journal):  # the journal has its own
        shared.append(
            _clock() if is_text and terminal else structlog.processors.TimeStamper(fmt="iso", utc=True)
        )
    render: list[structlog.typing.Processor] = (
        # Not Rich's tracebacks, the default if Rich is installed: they print local variables, even secrets.
        [
            _unframe,
            structlog.dev.ConsoleRenderer(
                colors=terminal and not os.environ.get("NO_COLOR"),
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
        if is_text
        else [structlog.processors.format_exc_info, _unframe, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    formatter = (_JournalFormatter if journal else structlog.stdlib.ProcessorFormatter)(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(RepeatFilter(time.monotonic))
    if isinstance(sys.stderr, PatientStream):
        sys.stderr.describe_loss = functools.partial(_describe_loss, formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("greenroom").setLevel(level.name)


class _JournalFormatter(structlog.stdlib.ProcessorFormatter):
    """Puts a priority before each line, since each becomes an entry of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        priority = f"<{_priority(record.levelno)}>"
        return "\n".join(priority + line for line in super().format(record).splitlines())


def _priority(level: int) -> int:
    """Return a level as syslog numbers it."""
    return next((priority for least, priority in _PRIORITIES if level >= least), syslog.LOG_DEBUG)


def _is_journal(stream: TextIO) -> bool:
    """Return whether a stream goes to systemd's journal: JOURNAL_STREAM names its device and inode."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def tell_repeats(*, at_once: bool = False) -> None:
    """Log how many similar lines were left out in each period that is over, or with `at_once` in all."""
    for handler in logging.getLogger().handlers:
        for repeats in handler.filters:
            if isinstance(repeats, RepeatFilter):
                repeats.tell(at_once=at_once)


_CHANGES = {
    EventKind.EXTENDED: "session was extended",
    EventKind.ATTACHED: "a client has attached",
    EventKind.DETACHED: "a client has left",
    EventKind.LOGIN_LOST: "session has lost its login",
    EventKind.LOGIN_BACK: "session is logged in again",
    EventKind.PROFILE_ROTATED: (
        "the site has renewed the login of a session that only reads its profile, so that is lost: set "
        "profile_refresh, or write the profile now and then"
    ),
    EventKind.ACTION: "an action was carried out",
    EventKind.CONTROL: "programs have control of the session",
    EventKind.WATCHER_JOINED: "somebody watches the session",
    EventKind.WATCHER_LEFT: "somebody has stopped watching the session",
}


def log_session_event(event: SessionEvent) -> None:
    """Write one line about what has happened to a session. Subscribe it to the supervisor's events."""
    session = event.session
    fields: dict[str, object] = {"session_id": session.id, "state": session.state.value}
    if session.profile.name != DEFAULT_PROFILE:
        fields["profile"] = session.profile.name
    if event.kind is not EventKind.STATE:
        _log_change(event, fields)
        return
    if session.state is SessionState.LIVE:
        _log.info("session is live", **fields, phase_ms=dict(session.phase_ms))
        return
    if session.state is not SessionState.ENDED:
        _log.debug("session goes on", **fields)
        return
    reason = session.reason
    fields |= {"reason": reason.value if reason else None, "phase_ms": dict(session.phase_ms)}
    if event.error is not None:
        fields |= {"error": str(event.error), "detail": event.error.detail, "error_id": event.error.id}
    if session.has_bundle:
        fields["bundle"] = bundle_path(session.id)
    if session.verdict is not None and reason is EndReason.NOT_LOGGED_IN:
        verdict = session.verdict
        fields |= {
            "login_state": verdict.state.value,
            "login_reason": verdict.reason.value,
            "login_method": verdict.method.value,
            "login_ms": verdict.elapsed_ms,
        }
    cause = event.error.__cause__ if event.error is not None else None
    if reason is not None and reason.is_trouble:
        _log.warning("session ended", **fields, exc_info=cause)
    elif session.is_requested:
        _log.info("session ended", **fields)
    else:
        _log.debug("warm session ended", **fields)


def _log_change(event: SessionEvent, fields: dict[str, object]) -> None:
    control = event.session.control
    match event.kind:
        case EventKind.LOGIN_LOST | EventKind.PROFILE_ROTATED:
            _log.warning(_CHANGES[event.kind], **fields)
        case EventKind.ACTION if event.action is not None:
            action = event.action
            fields |= {"kind": action.kind, "ms": action.ms, "outcome": action.outcome}
            _log.debug(_CHANGES[event.kind], **fields)
        case EventKind.CONTROL if control is not None:
            _log.info(
                "a person has control of the session",
                **fields,
                by=control.by,
                until=control.until.isoformat(timespec="seconds"),
            )
        case _:
            _log.info(_CHANGES[event.kind], **fields)


def _unframe(
    _logger: object,
    _name: str,
    event_dict: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    return {name: unframe(value) if isinstance(value, str) else value for name, value in event_dict.items()}


def _describe_loss(formatter: logging.Formatter, count: int) -> str:
    """Return the line that says how many lines were lost because nobody read them."""
    attributes = {
        "name": "greenroom.log", "levelname": "WARNING", "levelno": logging.WARNING,
        "msg": "%d lines of the log were lost: nobody read it, or it could not be written", "args": (count,),
    }  # fmt: skip
    return formatter.format(logging.makeLogRecord(attributes)) + "\n"


def _clock() -> structlog.processors.TimeStamper:
    return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
