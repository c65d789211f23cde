"""Settings of the log that are one of several words."""

import enum
from typing import cast

from greenroom.supervisor.config.converters import choice_from


class LogLevel(enum.Enum):
    """Lines of this level and above are written. DEBUG adds what browsers and their hosts print."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    """How lines look. AUTO is TEXT on a terminal and in systemd's journal, and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


def to_log_level(value: LogLevel | str) -> LogLevel:
    """Convert a text to a level."""
    return cast("LogLevel", choice_from(value, LogLevel))


def to_log_format(value: LogFormat | str) -> LogFormat:
    """Convert a text to a format."""
    return cast("LogFormat", choice_from(value, LogFormat))
