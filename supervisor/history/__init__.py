"""The history of ended sessions: what is kept of each, in a file that all daemons of a user share."""

from greenroom.supervisor.history.entry import EndedSession, Outcome
from greenroom.supervisor.history.filters import HistoryFilter, Position
from greenroom.supervisor.history.history import History, open_history
from greenroom.supervisor.history.reading import Page, Percentiles, Summary, read_history

__all__ = [
    "EndedSession",
    "History",
    "HistoryFilter",
    "Outcome",
    "Page",
    "Percentiles",
    "Position",
    "Summary",
    "open_history",
    "read_history",
]
