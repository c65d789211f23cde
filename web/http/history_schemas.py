"""What is said over HTTP about sessions that have ended."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated

import attrs
import msgspec

from greenroom.actors.lifecycle import PROFILE_NAME, EndReason
from greenroom.supervisor.history import (
    EndedSession,
    HistoryFilter,
    Outcome,
    Page,
    Percentiles,
    Position,
    Summary,
)
from greenroom.web.http.schemas import TikTokSessionResponse
from greenroom.web.http.session_paths import bundle_path

MAX_LIMIT = 200

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The query of `GET /tiktok/history`: sessions that have all that is given, and where a page begins.

    They ended at `since` or later, and before `until`: ISO 8601 with an offset from UTC, or the seconds since
    1970. `id` is a session's, or how it begins. `cursor` is an answer's `next`, for the same filter.
    """

    id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    outcome: Outcome | None = None
    end_reason: EndReason | None = None
    profile: Annotated[str, msgspec.Meta(pattern=f"^{PROFILE_NAME}$(?!\n)")] | None = None
    since: _Time | None = None
    until: _Time | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 50

    @property
    def filter(self) -> HistoryFilter:
        """The part that says which sessions."""
        return HistoryFilter(
            id=self.id,
            outcome=self.outcome,
            end_reason=self.end_reason,
            profile=self.profile,
            since=self.since,
            until=self.until,
        )

    @property
    def after(self) -> Position | None:
        """Where the page begins. Raises `ValueError`."""
        return None if self.cursor is None else Position.decode(self.cursor)


@attrs.frozen(kw_only=True)
class HistoryEntry(EndedSession):
    """One ended session. `bundle` is the path of what is kept of its failure; null if nothing is, or is gone.

    `error` is the kind of error that ended it. `creation_ms` is how long its caller waited until it was live:
    of one that `was_warm`, since it was asked for. The peaks are of samples, taken every 5 seconds.
    """

    bundle: str | None

    @classmethod
    def of(cls, ended: EndedSession, bundles: Collection[str]) -> "HistoryEntry":
        """Return the entry of a session, with the ids of the sessions whose bundles are still there."""
        has_bundle = ended.has_bundle and ended.id in bundles
        return cls(**attrs.asdict(ended, recurse=False), bundle=bundle_path(ended.id) if has_bundle else None)


class HistoryAnswer(TikTokSessionResponse, kw_only=True):
    """The answer to `GET /tiktok/history`: a page of sessions, the last to end first.

    `next` is the `cursor` of the next page, null on the last. The figures are on all sessions of the filter,
    not on the page alone, in milliseconds: `creation_ms` is null if none was live, and `phase_ms` has each
    phase that any was in. `problem` says why the latest sessions may be missing, null if they are not.
    """

    sessions: list[HistoryEntry]
    next: str | None
    total: int
    outcomes: Mapping[Outcome, int]
    creation_ms: Percentiles | None
    phase_ms: Mapping[str, Percentiles]
    problem: str | None

    @classmethod
    def of(
        cls, page: Page, summary: Summary, bundles: Collection[str], problem: str | None = None
    ) -> "HistoryAnswer":
        """Return the answer with a page and the figures on its filter."""
        return cls(
            message="1 session has ended" if summary.total == 1 else f"{summary.total} sessions have ended",
            sessions=[HistoryEntry.of(ended, bundles) for ended in page.sessions],
            next=page.after.encode() if page.after else None,
            total=summary.total,
            outcomes=summary.outcomes,
            creation_ms=summary.creation_ms,
            phase_ms=summary.phase_ms,
            problem=problem,
        )
