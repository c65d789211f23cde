"""The log as an operator reads it: JSON lines for machines, one readable line per event on a terminal."""

import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import pytest
import structlog

from greenroom.actors.errors import GreenroomError, InternalFailure, NotLoggedIn, ProfileLocked
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import EndReason, SessionInfo, SessionState
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginReason, LoginState, Method, Verdict
from greenroom.web.logs import configure_logging, log_session_event
from greenroom.web.settings.choices import LogFormat, LogLevel
from greenroom.web.streams import PatientStream
from tests.web.http.front import open_front, until

SESSION_ID = "5d0c8a52-6d4c-4f0e-9c3b-1f7f1c1f3a10"
TOKEN = "correct-horse-battery"
PASSWORD = "hunter2-hunter2"
PROXY = f"http://alice:{PASSWORD}@proxy.example:3128"
VERDICT = Verdict(
    state=LoginState.LOGGED_OUT,
    reason=LoginReason.LOGIN_BUTTON,
    method=Method.DOM,
    elapsed_ms=250,
    viewer="maker",
)

Configure = Callable[..., "Stderr"]


class Stderr(io.StringIO):
    """A standard error stream that may or may not be a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return whether this is a terminal."""
        return self._terminal

    @property
    def lines(self) -> list[str]:
        """What was written, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue()).splitlines()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What was written, each line parsed as JSON."""
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Configure logging to a stream of the test's own, and undo it afterwards."""
    ours, root = logging.getLogger("greenroom"), logging.getLogger()
    handlers, levels = root.handlers[:], (ours.level, root.level)
    config = structlog.get_config()

    def call(
        *,
        terminal: bool = False,
        level: LogLevel = LogLevel.INFO,
        style: LogFormat = LogFormat.AUTO,
        stderr: Any = None,
    ) -> Any:
        stderr = stderr or Stderr(terminal=terminal)
        monkeypatch.setattr(sys, "stderr", stderr)
        configure_logging(level=level, style=style)
        return stderr

    yield call
    structlog.configure(**config)
    root.handlers[:] = handlers
    ours.setLevel(levels[0])
    root.setLevel(levels[1])


def event(
    state: SessionState,
    *,
    reason: EndReason | None = None,
    error: GreenroomError | None = None,
    verdict: Verdict | None = None,
    is_requested: bool = True,
) -> SessionEvent:
    """Return an event of a session that spent 12 ms in cloning."""
    session = SessionInfo(
        id=SESSION_ID,
        state=state,
        created_at=datetime.now(UTC),
        expires_at=None,
        verdict=verdict,
        phase_ms={"cloning": 12},
        reason=reason,
        is_requested=is_requested,
    )
    return SessionEvent(session=session, error=error)


def raised(error: Exception) -> Exception:
    """Return the error with a traceback, from a frame with a secret in a local variable."""
    proxy_url = PROXY
    try:
        raise error  # noqa: TRY301  # a traceback is all that this is for
    except Exception as exc:
        assert proxy_url
        return exc


def test_live_session_is_one_json_line(configure: Configure) -> None:
    """A session that went live is logged as JSON, with its id, its phases and a time with a time zone."""
    stderr = configure()
    log_session_event(event(SessionState.LIVE))
    [entry] = stderr.entries
    assert datetime.fromisoformat(entry.pop("timestamp")).utcoffset() is not None
    assert entry == {
        "event": "session is live",
        "level": "info",
        "logger": "greenroom.session",
        "session_id": SESSION_ID,
        "state": "live",
        "phase_ms": {"cloning": 12},
    }


def test_end_of_an_unclaimed_warm_session_is_only_logged_if_it_is_trouble(
    configure: Configure,
) -> None:
    """Warm sessions come and go. Only problems that keep them from launching concern the operator."""
    stderr = configure()
    for reason in (EndReason.DISCARDED, EndReason.SHUTDOWN, EndReason.FAILED):
        log_session_event(event(SessionState.ENDED, reason=reason, is_requested=False))
    [entry] = stderr.entries
    assert entry["reason"] == "failed"


@pytest.mark.parametrize(
    ("reason", "level"),
    [
        (EndReason.EXPIRED, "info"),
        (EndReason.DELETED, "info"),
        (EndReason.NOT_LOGGED_IN, "info"),
        (EndReason.CALLER_LEFT, "info"),
        (EndReason.SHUTDOWN, "info"),
        (EndReason.CREATION_TIMEOUT, "warning"),
        (EndReason.BROWSER_LOST, "warning"),
        (EndReason.FAILED, "warning"),
        (EndReason.LOGIN_LOST, "warning"),
        (EndReason.OVER_BUDGET, "warning"),
    ],
)
def test_ended_session_is_a_warning_only_if_somebody_should_look(
    configure: Configure, reason: EndReason, level: str
) -> None:
    """Each end is one line with its reason. Ends that may need an operator stand out."""
    stderr = configure()
    log_session_event(event(SessionState.ENDED, reason=reason))
    [entry] = stderr.entries
    assert (entry["event"], entry["level"], entry["reason"]) == ("session ended", level, reason.value)
    assert entry["session_id"] == SESSION_ID


def test_refused_session_logs_the_login_state(configure: Configure) -> None:
    """The line alone says why nobody is logged in."""
    stderr = configure()
    refusal = NotLoggedIn(VERDICT, hint="log in")
    log_session_event(
        event(SessionState.ENDED, reason=EndReason.NOT_LOGGED_IN, error=refusal, verdict=VERDICT)
    )
    [entry] = stderr.entries
    assert (entry["login_state"], entry["error"]) == ("LOGGED_OUT", "User is not logged in to TikTok")


def test_failed_session_logs_detail_and_id_of_the_error(configure: Configure) -> None:
    """What the client doesn't learn is in the log, under the id that the client got."""
    stderr = configure()
    failure = GreenroomError("No clone", detail="/clones: no space left")
    log_session_event(event(SessionState.ENDED, reason=EndReason.FAILED, error=failure))
    [entry] = stderr.entries
    assert (entry["error"], entry["detail"]) == ("No clone", "/clones: no space left")
    assert entry["error_id"] == failure.id


def test_unforeseen_failure_has_its_traceback_on_the_same_json_line(configure: Configure) -> None:
    """The traceback is a field of the line, not extra lines that no machine can read."""
    stderr = configure()
    failure = InternalFailure(raised(RuntimeError("boom")))
    log_session_event(event(SessionState.ENDED, reason=EndReason.FAILED, error=failure))
    [entry] = stderr.entries
    assert "RuntimeError: boom" in entry["exception"]
    assert "in raised\n" in entry["exception"]
    assert PASSWORD not in stderr.getvalue()


def test_terminal_gets_readable_lines(configure: Configure) -> None:
    """On a terminal, an event is a line of words, not JSON."""
    stderr = configure(terminal=True)
    log_session_event(event(SessionState.LIVE))
    log_session_event(event(SessionState.ENDED, reason=EndReason.EXPIRED))
    live, ended = stderr.lines
    assert re.match(r"\d\d:\d\d:\d\d \[info *\] session is live ", live)
    assert re.match(r"\d\d:\d\d:\d\d \[info *\] session ended ", ended)
    assert f"session_id={SESSION_ID}" in live
    assert "reason=expired" in ended


def test_traceback_on_a_terminal_shows_no_local_variables(configure: Configure) -> None:
    """Local variables may hold secrets, so a traceback shows only code."""
    stderr = configure(terminal=True)
    failure = InternalFailure(raised(RuntimeError("boom")))
    log_session_event(event(SessionState.ENDED, reason=EndReason.FAILED, error=failure))
    assert "RuntimeError: boom" in stderr.lines
    assert PASSWORD not in stderr.getvalue()


@pytest.mark.parametrize(
    ("options", "events"),
    [
        ({}, ["session is live", "session ended"]),
        ({"level": LogLevel.DEBUG}, ["session goes on", "session is live", "session ended"]),
        ({"level": LogLevel.ERROR}, []),
    ],
    ids=["usual", "debug", "error"],
)
def test_intermediate_states_are_logged_only_at_level_debug(
    configure: Configure, options: dict[str, LogLevel], events: list[str]
) -> None:
    """The normal log has a session's start and end, at level debug every state, at level error neither."""
    stderr = configure(**options)
    log_session_event(event(SessionState.CLONING))
    log_session_event(event(SessionState.LIVE))
    log_session_event(event(SessionState.ENDED, reason=EndReason.FAILED, error=ProfileLocked()))
    assert [entry["event"] for entry in stderr.entries] == events


def test_libraries_log_warnings_in_the_same_format(configure: Configure) -> None:
    """A library's warning is a JSON line too. Less important messages are dropped."""
    stderr = configure()
    logging.getLogger("hypercorn.error").warning("a connection of %s failed", "somebody")
    logging.getLogger("httpx").info("chatter")
    [entry] = stderr.entries
    assert (entry["event"], entry["level"]) == ("a connection of somebody failed", "warning")
    assert entry["logger"] == "hypercorn.error"


def test_text_from_outside_stays_on_its_line(configure: Configure) -> None:
    """Nobody can forge a log line by sending line breaks."""
    stderr = configure()
    log_session_event(
        event(SessionState.ENDED, reason=EndReason.FAILED, error=GreenroomError('x\n{"event": "forged"}'))
    )
    assert len(stderr.entries) == 1


def test_box_in_an_error_is_logged_without_its_frame(configure: Configure) -> None:
    """Playwright draws boxes around messages. The log has only the text."""
    stderr = configure()
    banner = "╔══════════╗\n║ no XServer ║\n╚══════════╝"
    failure = GreenroomError("No browser", detail=f"launch: {banner}")
    log_session_event(event(SessionState.ENDED, reason=EndReason.FAILED, error=failure))
    log_session_event(
        event(SessionState.ENDED, reason=EndReason.FAILED, error=InternalFailure(raised(OSError(banner))))
    )
    plain, failed = stderr.entries
    assert plain["detail"] == "launch:\nno XServer"
    assert "no XServer" in failed["exception"]
    assert not re.search("[\u2500-\u257f]", plain["detail"] + failed["exception"] + failed["detail"])


def test_lost_lines_are_reported_in_the_same_format(configure: Configure) -> None:
    """Lines that no reader took are reported like any other event."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    stream = PatientStream(descriptor)
    configure(stderr=stream)
    assert stream.describe_loss is not None
    entry = json.loads(stream.describe_loss(3))
    os.close(descriptor)
    assert entry["event"] == "3 lines of the log were lost: nobody read it, or it could not be written"
    assert entry["level"] == "warning"


async def test_daemon_logs_each_session_and_no_secret(configure: Configure) -> None:
    """The log has a line for the start and the end of a session, and shows neither token nor proxy."""
    stderr = configure(level=LogLevel.DEBUG)
    machine = FakeMachine()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with open_front(machine, token=TOKEN, proxy=PROXY) as front:
        created = await front.create(headers=bearer)
        session_id = created.headers["X-Session-Id"]
        await front.client.delete(created.headers["Location"], headers=bearer)
        machine.launch_error = RuntimeError("boom")
        assert (await front.create(headers=bearer)).status_code == 500
        await front.create(headers={"Authorization": f"Bearer wrong-{TOKEN}"})
        await until(lambda: not machine.clones)
    lines = [
        (entry["event"], entry.get("reason"))
        for entry in stderr.entries
        if entry.get("session_id") == session_id and entry["logger"] == "greenroom.session"
        if entry["level"] == "info"
    ]
    assert lines == [("session is live", None), ("session ended", "deleted")]
    assert TOKEN not in stderr.getvalue()
    assert PASSWORD not in stderr.getvalue()


# Formats, and systemd's journal.


@contextmanager
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, Callable[[], list[str]]]]:
    """Yield a stream that looks like the journal's, and what returns the lines that were written to it."""
    reading, writing = os.pipe()
    found = os.fstat(writing)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as entries:

        def written() -> list[str]:
            stream.flush()
            os.set_blocking(reading, False)
            return entries.read().splitlines()

        yield stream, written


def test_lines_for_the_journal_have_a_priority_and_neither_time_nor_colours(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line does, those of a traceback too, since each is an entry for the journal."""
    with journal(monkeypatch) as (stream, written):
        configure(stderr=stream, level=LogLevel.DEBUG)
        log = structlog.get_logger("greenroom.test")
        for level in ("debug", "info", "warning", "error", "critical"):
            log.log(getattr(logging, level.upper()), f"at {level}", session_id="one")
        log.error("failed", exc_info=raised(RuntimeError("why")))
        lines = written()
    assert [re.sub(" +", " ", line) for line in lines[:5]] == [
        "<7>[debug ] at debug [greenroom.test] session_id=one",
        "<6>[info ] at info [greenroom.test] session_id=one",
        "<4>[warning ] at warning [greenroom.test] session_id=one",
        "<3>[error ] at error [greenroom.test] session_id=one",
        "<2>[critical ] at critical [greenroom.test] session_id=one",
    ]
    assert len(lines) > 8
    assert all(line.startswith("<3>") for line in lines[5:])
    assert lines[-1] == "<3>RuntimeError: why"


def test_json_for_the_journal_is_one_object_after_the_priority(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal takes the priority off, so that its reader has plain JSON."""
    with journal(monkeypatch) as (stream, written):
        configure(stderr=stream, style=LogFormat.JSON)
        structlog.get_logger("greenroom.test").warning("careful")
        (line,) = written()
    assert line.startswith("<4>{")
    assert json.loads(line.removeprefix("<4>"))["event"] == "careful"


def test_journal_of_another_stream_is_none_of_ours(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is inherited by programs whose error stream goes to a file."""
    with journal(monkeypatch) as (stream, written):
        monkeypatch.setenv("JOURNAL_STREAM", "1:2")
        configure(stderr=stream)
        structlog.get_logger("greenroom.test").info("as ever")
        (line,) = written()
    assert json.loads(line)["event"] == "as ever"


def test_text_in_a_file_has_the_time_and_no_colours(configure: Configure) -> None:
    """That is what --log-format text is for."""
    stderr = configure(style=LogFormat.TEXT)
    structlog.get_logger("greenroom.test").info("well")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[info +\] well +\[greenroom.test\]\n", stderr.getvalue())


def test_json_on_a_terminal_is_json(configure: Configure) -> None:
    """The setting wins over what the stream is."""
    stderr = configure(terminal=True, style=LogFormat.JSON)
    structlog.get_logger("greenroom.test").info("well")
    assert stderr.entries[0]["event"] == "well"


@pytest.mark.parametrize("colours", [True, False])
def test_colours_on_a_terminal_can_be_turned_off(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, colours: bool
) -> None:
    """By NO_COLOR, as in other programs."""
    monkeypatch.setenv("NO_COLOR", "" if colours else "1")
    stderr = configure(terminal=True)
    structlog.get_logger("greenroom.test").info("well")
    assert ("\x1b[" in stderr.getvalue()) is colours
