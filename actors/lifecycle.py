"""A session's states, the reasons for its end, and what others may see of it."""

import enum
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import attrs

from greenroom.actors.resources import Usage
from greenroom.actors.verdict import Verdict


class SessionState(enum.Enum):
    """Where a session is in its life: each state follows the one above, and any may skip to ENDING.

    A session is QUEUED only if it has to wait until others have launched, and WARM only if it was launched in
    advance of a request.
    """

    CLONING = "cloning"
    QUEUED = "queued"
    LAUNCHING = "launching"
    WARM = "warm"
    NAVIGATING = "navigating"
    JUDGING = "judging"
    LIVE = "live"
    ENDING = "ending"
    ENDED = "ended"


class EndReason(enum.Enum):
    """Why a session ended; the first reason that occurs stays."""

    EXPIRED = "expired"
    IDLE = "idle"
    DELETED = "deleted"
    CLOSED_BY_CLIENT = "closed_by_client"
    NOT_LOGGED_IN = "not_logged_in"
    LOGIN_LOST = "login_lost"
    CREATION_TIMEOUT = "creation_timeout"
    CALLER_LEFT = "caller_left"
    BROWSER_LOST = "browser_lost"
    OVER_BUDGET = "over_budget"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    FAILED = "failed"
    SHUTDOWN = "shutdown"

    @property
    def is_trouble(self) -> bool:
        """Whether something went wrong that an operator may have to act on. The others are as usual."""
        return self in {
            EndReason.BROWSER_LOST,
            EndReason.CREATION_TIMEOUT,
            EndReason.FAILED,
            EndReason.LOGIN_LOST,
            EndReason.OVER_BUDGET,
        }


@attrs.frozen(kw_only=True)
class ProcessCount:
    """How many processes ended when they were asked to, and how many were killed."""

    politely: int = 0
    by_force: int = 0


@attrs.frozen(kw_only=True)
class Held:
    """A person's control of a session: whose, since when, and until when.

    While they have it, `until` is when it ends at the latest.
    """

    by: str
    since: datetime
    until: datetime


class Purpose(enum.Enum):
    """What a session is for."""

    SESSION = "session"
    """To be used. Its page must show a login, or there is no session."""
    LOGIN = "login"
    """To log in to its profile. It is live whatever its page shows, and ends once that shows a login."""
    BROWSE = "browse"
    """To use its profile by hand. It is live whatever its page shows."""
    IMPORT = "import"
    """To give its profile a login. It ends as soon as its page has shown one."""
    REFRESH = "refresh"
    """To renew the login of its profile. It ends as soon as its page has shown one."""


class ProfileMode(enum.Enum):
    """What a session may do with the master profile."""

    READ = "read"
    """It works on a copy, which is removed at its end."""
    WRITE = "write"
    """It works on a copy, which becomes the profile's next generation at its polite end."""


DEFAULT_PROFILE: Final = "default"
"""The name of the profile that has a path of its own."""

PROFILE_NAME: Final = "[a-z0-9][a-z0-9_-]{0,31}"
"""The pattern of profiles' names."""


def check_profile_name(name: str) -> None:
    """Raise `ValueError` unless a profile may have this name."""
    if not re.fullmatch(PROFILE_NAME, name):
        raise ValueError(
            "A profile's name has 1 to 32 characters of a-z, 0-9, _ and -, and begins with a letter or digit"
        )


def login_command(name: str) -> str:
    """Return the command that logs a profile in."""
    return "greenroom login" if name == DEFAULT_PROFILE else f"greenroom login {name}"


@attrs.frozen(kw_only=True)
class ProfileUse:
    """Which profile a session is of, by its name, and what it may do with it.

    With `may_be_new`, a profile that is missing or empty is made; it stays if something is committed. Raises
    `ValueError` for what can't be a name.
    """

    name: str = attrs.field(
        default=DEFAULT_PROFILE, validator=lambda _self, _field, name: check_profile_name(name)
    )
    mode: ProfileMode = ProfileMode.READ
    may_be_new: bool = False


DEFAULT_USE: Final = ProfileUse()


@attrs.frozen(kw_only=True)
class Commit:
    """What became of the profile that a session was to write.

    That is the number of the new `generation`, or the `problem` why there is none.
    """

    generation: int | None = None
    problem: str | None = None


class WatchMode(enum.Enum):
    """What somebody who watches a session may do."""

    VIEW = "view"
    CONTROL = "control"


@attrs.frozen(kw_only=True)
class Watcher:
    """Somebody who watches a session, or has: `until` is None while they do."""

    name: str
    mode: WatchMode
    since: datetime
    until: datetime | None


@attrs.frozen(kw_only=True)
class ProfileHolder:
    """Who has the master profile: a program and the id of its process, since when, and until when at most.

    The times are None where nobody knows them.
    """

    program: str
    pid: int
    since: datetime | None = None
    until: datetime | None = None


@attrs.frozen(kw_only=True)
class ProfileInfo:
    """A master profile: its current `generation`, and the `login` that it keeps, by the names of its cookies.

    `login_expires_at` is when the login ends at the latest. `holder` is who has the profile now; `problem` is
    why no session could be made of it otherwise.
    """

    name: str
    generation: int | None = None
    committed_at: datetime | None = None
    login: tuple[str, ...] = ()
    login_expires_at: datetime | None = None
    holder: ProfileHolder | None = None
    problem: str | None = None


@attrs.frozen(kw_only=True)
class Receipt:
    """What the end of a session did. `bytes_freed` is the disk space of its clone.

    `left` names the kinds of things that could not be cleaned up, and should be empty. `held` lists the
    people who had control of the session, in order. `commit` is None for a session that only read the
    profile.
    """

    reason: EndReason
    phase_ms: Mapping[str, int]
    processes: ProcessCount
    bytes_freed: int
    left: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()
    commit: Commit | None = None


@attrs.frozen(kw_only=True)
class SessionInfo:
    """One session as it was at one moment.

    `phase_ms` holds whole milliseconds spent per state, in order; the current state counts up to the moment
    of the snapshot. `expires_at` is None until the session is live, `verdict` until its page is judged,
    `reason` until it is ending, `receipt` until it has ended. `usage` is the last sample, and `peak` has the
    highest value of each of its figures. `is_requested` is
    false for a warm session that nobody has asked for yet. `profile_version` is the version of the master
    profile that was cloned, None until the clone is made. `clients` are attached with a Playwright of their
    own; `refused_calls` is how many calls of such clients have been refused. `has_bundle` says that it fails,
    and that more is kept of it. `control` is the person who has control, None while programs do; `watchers`
    are watching, and `watched` are the last 50 who have. `profile` is which it is of, and what it does to it;
    `purpose` is what it is for.
    """

    id: str
    state: SessionState
    created_at: datetime
    expires_at: datetime | None
    verdict: Verdict | None
    phase_ms: Mapping[str, int]
    reason: EndReason | None
    usage: Usage | None = None
    peak: Usage | None = None
    receipt: Receipt | None = None
    is_requested: bool = True
    profile_version: str | None = None
    clients: int = 0
    refused_calls: int = 0
    has_bundle: bool = False
    control: Held | None = None
    watchers: tuple[Watcher, ...] = ()
    watched: tuple[Watcher, ...] = ()
    profile: ProfileUse = DEFAULT_USE
    purpose: Purpose = Purpose.SESSION

    @property
    def was_warm(self) -> bool:
        """Whether it was launched in advance, and has been ready before somebody asked for it."""
        return SessionState.WARM.value in self.phase_ms

    @property
    def was_live(self) -> bool:
        """Whether it is live, or has been."""
        return SessionState.LIVE.value in self.phase_ms

    @property
    def creation_ms(self) -> int | None:
        """How long its caller waited in its phases until it was live, in whole milliseconds.

        Of one that `was_warm`, only those since it was asked for. None if it never was live.
        """
        if not self.was_live:
            return None
        phases = list(self.phase_ms)
        begun = phases.index(SessionState.WARM.value) + 1 if self.was_warm else 0
        return sum(self.phase_ms[phase] for phase in phases[begun : phases.index(SessionState.LIVE.value)])
