"""Logs repeated lines once per period, with a count of those left out."""

import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import structlog

PERIOD_S: Final = 10.0
MAX_KINDS: Final = 1_000

# The fields that structlog adds to each line.
_NO_FIELDS: Final = frozenset({"event", "exc_info", "level", "logger", "timestamp"})

_Fingerprint = tuple[object, ...]

_OWN_LOGGER: Final = "greenroom.repeats"
_log = structlog.get_logger(_OWN_LOGGER)


@attrs.define(eq=False)
class _Kind:
    """Records that are alike: when one of them was last logged, and how many were left out since."""

    logger: str
    level: int
    text: str
    since: float
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Passes the first of several warnings or errors that are alike, and counts the others.

    Records are alike if they have the same logger, level, text and fields, and the same kind of error from
    the same line of code. If only fields differ, such as a session's id, each record passes, but without the
    traceback that another one has just shown. `clock` returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float], *, period_s: float = PERIOD_S) -> None:
        super().__init__()
        self._clock = clock
        self._period_s = period_s
        self._kinds: OrderedDict[_Fingerprint, _Kind] = OrderedDict()
        self._lock = threading.RLock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        if record.levelno < logging.WARNING or record.name == _OWN_LOGGER:
            return True
        text, fields, error = _take_apart(record)
        kind = (record.name, record.levelno, text, _fingerprint(error))
        with self._lock:
            if not self._is_new((*kind, fields), record, text):
                return False
            if error and not self._is_new((*kind, "traceback"), record, text, counts=False):
                _drop_traceback(record)
        return True

    def tell(self, *, at_once: bool = False) -> None:
        """Log how many records were left out in each period that is over; with `at_once`, in all periods."""
        now = self._clock()
        with self._lock:
            over = [key for key, kind in self._kinds.items() if at_once or now - kind.since >= self._period_s]
            told = [self._kinds.pop(key) for key in over]
        for kind in told:
            _tell(kind)

    def _is_new(
        self, key: _Fingerprint, record: logging.LogRecord, text: str, *, counts: bool = True
    ) -> bool:
        now = self._clock()
        kind = self._kinds.get(key)
        if kind is not None and now - kind.since < self._period_s:
            kind.left_out += counts
            return False
        if kind is not None:
            del self._kinds[key]
            _tell(kind)
        self._kinds[key] = _Kind(record.name, record.levelno, text, now)
        if len(self._kinds) > MAX_KINDS:
            _tell(self._kinds.popitem(last=False)[1])
        return True


def _tell(kind: _Kind) -> None:
    if kind.left_out:
        _log.log(
            kind.level, "left out similar lines",
            count=kind.left_out, of=kind.text, of_logger=kind.logger,
        )  # fmt: skip


def _take_apart(record: logging.LogRecord) -> tuple[str, _Fingerprint, BaseException | None]:
    """Return a record's text, fields and error. A library's record has no fields."""
    if not isinstance(record.msg, Mapping):  # the text without its arguments, such as an address
        return str(record.msg), (), _error(record.exc_info)
    fields = tuple((name, repr(record.msg[name])) for name in sorted(record.msg) if name not in _NO_FIELDS)
    return str(record.msg.get("event")), fields, _error(record.msg.get("exc_info"))


def _error(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    elif exc_info is True:
        exc_info = sys.exc_info()[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _fingerprint(error: BaseException | None) -> _Fingerprint:
    """Return what an error shares with others of its kind: its type, its number, and where it arose."""
    if error is None:
        return ()
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = (where.tb_frame.f_code.co_filename, where.tb_lineno) if where else None
    return (type(error), getattr(error, "errno", None), place)


def _drop_traceback(record: logging.LogRecord) -> None:
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "exc_info": None, "traceback": "as in a line just before"}
