"""The log under repeated errors: each kind once a period, with a count of the rest."""

import errno
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from greenroom.web import repeats
from greenroom.web.repeats import MAX_KINDS, PERIOD_S, RepeatFilter


class Log(logging.Handler):
    """Collects what passes the filter. The test sets the time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.records: list[logging.LogRecord] = []
        self.repeats = RepeatFilter(lambda: self.now)
        self.addFilter(self.repeats)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def take(self) -> list[Any]:
        """Return the messages since the last call."""
        taken = [record.msg for record in self.records]
        self.records.clear()
        return taken


@pytest.fixture
def log() -> Iterator[Log]:
    config = structlog.get_config()
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = Log()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    structlog.configure(**config)


def accept_in_vain() -> None:
    """Log what Trio logs, ten times a second, when no file descriptor is left."""
    try:
        raise OSError(errno.EMFILE, "Too many open files")  # noqa: TRY301
    except OSError:
        logging.getLogger("trio.serve_listeners").exception(
            "accept returned %s (%s); retrying in %s seconds", "EMFILE", "why", 0.1
        )


def left_out(count: int, of: str, logger: str) -> dict[str, object]:
    return {"event": "left out similar lines", "count": count, "of": of, "of_logger": logger}


def test_error_ten_times_a_second_is_logged_once_a_period_with_a_count(log: Log) -> None:
    """An hour without file descriptors gives two lines a period, not ten tracebacks a second."""
    text = "accept returned %s (%s); retrying in %s seconds"
    told: list[Any] = []
    for tenth in range(int(3 * PERIOD_S * 10)):
        log.now = tenth / 10
        accept_in_vain()
        told += log.take()
    period = left_out(int(PERIOD_S * 10) - 1, text, "trio.serve_listeners")
    assert told == [text, period, text, period, text]
    log.repeats.tell(at_once=True)
    assert log.take() == [period]


def test_count_is_logged_after_the_period_though_nothing_follows(log: Log) -> None:
    """The end of a burst is logged too, once."""
    for _ in range(3):
        accept_in_vain()
    log.repeats.tell()
    log.now = PERIOD_S
    log.take()
    log.repeats.tell()
    log.repeats.tell()
    assert [message["count"] for message in log.take()] == [2]


def test_lines_that_differ_in_a_field_all_pass(log: Log) -> None:
    """No session's line is dropped because it is similar to another's."""
    ours = structlog.get_logger("greenroom.session")
    for number in range(5):
        ours.warning("session ended", session_id=str(number))
        ours.warning("session ended", session_id=str(number))
    assert [message["session_id"] for message in log.take()] == list("01234")


def test_lines_below_a_warning_all_pass(log: Log) -> None:
    """Lines that report no trouble are logged as often as they come."""
    logging.getLogger("greenroom.test").setLevel(logging.INFO)
    for _ in range(3):
        logging.getLogger("greenroom.test").info("again")
    assert log.take() == ["again"] * 3


def test_traceback_that_was_just_shown_is_left_out_of_lines_that_differ(log: Log) -> None:
    """If a thousand requests fail alike, each has a line with its id, and there is one traceback."""
    ours = structlog.get_logger("greenroom.web")

    def fail(why: str, error_id: int) -> None:
        try:
            raise RuntimeError(why)  # noqa: TRY301
        except RuntimeError as exc:
            ours.error("request failed", error_id=error_id, exc_info=exc)

    for number in range(3):
        fail("boom", number)
    first, *others = log.take()
    assert isinstance(first["exc_info"], RuntimeError)
    assert [(line["error_id"], line["exc_info"]) for line in others] == [(1, None), (2, None)]
    log.now = PERIOD_S
    fail("boom", 4)
    assert isinstance(log.take()[0]["exc_info"], RuntimeError)


def test_errors_of_another_kind_are_not_repeats(log: Log) -> None:
    """An error that differs in its type, number or place is another error."""
    logger = logging.getLogger("greenroom.test")
    for error in (OSError(errno.EMFILE, ""), OSError(errno.ENOSPC, ""), ValueError()):
        for _ in range(2):
            logger.error("failed", exc_info=error)
    assert log.take() == ["failed"] * 3


def test_number_of_remembered_kinds_is_bounded(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of different lines doesn't use up memory. A count that is dropped is logged first."""
    monkeypatch.setattr(repeats, "MAX_KINDS", 10)
    assert MAX_KINDS > 10
    logger = logging.getLogger("greenroom.test")
    for number in range(50):
        for _ in range(2):
            logger.warning(f"warning {number}")
    assert len(log.repeats._kinds) == 10
    assert sum(isinstance(message, dict) for message in log.take()) == 40
