"""Finds what would stop the next session from going live before anybody asks for one."""

import enum
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import attrs
import structlog
import trio

from greenroom.actors.bulkhead import as_error, contain
from greenroom.actors.errors import (
    GreenroomError,
    NotLoggedIn,
    ProfileLocked,
    ProfileNotFound,
    UpstreamUnreachable,
)
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import DEFAULT_PROFILE, ProfileInfo, Purpose, SessionState, login_command
from greenroom.actors.machine.ports import Machine
from greenroom.actors.verdict import LoginReason, LoginState

# How often to check. The interval varies, so that daemons that started together drift apart.
PERIOD_S = 60.0
_JITTER = 0.1
# How long before its end a login is a problem.
SOON = timedelta(days=2)
# The time limit of one check.
LIMIT_S = 10.0

_log = structlog.get_logger("greenroom.health")


class Subject(enum.Enum):
    """What is checked."""

    PROFILE = "profile"
    """The master profile can be cloned."""
    CLONES = "clones"
    """There is a place for clones."""
    SITE = "site"
    """The site, or the proxy, accepts connections, and the last page that was loaded came."""
    LOGIN = "login"
    """No profile is known to be logged out, by the last session of it whose viewer was known, nor soon to be,
    by its cookies."""


class Condition(enum.Enum):
    """The state of a subject."""

    UNKNOWN = "unknown"
    OK = "ok"
    PROBLEM = "problem"


@attrs.frozen(kw_only=True)
class Check:
    """A subject's condition, since when it has been so, and the problem, if any. All is safe to show."""

    health: Condition = Condition.UNKNOWN
    since: datetime = attrs.field(factory=lambda: datetime.now(UTC))
    problem: str | None = None

    def without_text(self) -> "Check":
        """Return the condition alone: the text may name profiles."""
        return attrs.evolve(self, problem=None)


@attrs.define(eq=False, kw_only=True, repr=False)
class SelfCheck:
    """Checks at its start and then every minute, and learns from what sessions run into.

    To check the site, it opens a connection and closes it without sending anything. Whenever a subject's
    condition changes, it logs one line and calls `on_turn`. A master profile that is open in a browser is not
    a problem.
    """

    machine: Machine
    on_turn: Callable[[], None]
    checks: dict[Subject, Check] = attrs.field(
        factory=lambda: {subject: Check() for subject in Subject}, init=False
    )
    logged_out: dict[str, str] = attrs.field(factory=dict, init=False)
    """The profiles that were judged logged out, each with its version then, as long as that is so."""
    profiles: tuple[ProfileInfo, ...] = attrs.field(default=(), init=False)
    """The profiles that there were when it last looked, and until when their logins can last."""

    _ending: dict[str, datetime] = attrs.field(factory=dict, init=False)
    _page_problem: str | None = attrs.field(default=None, init=False)

    async def run(self) -> None:
        """Check forever."""
        while True:
            await self._look(Subject.PROFILE, self._look_at_profiles)
            await self._look_quietly(self._look_at_logins)
            await self._look(Subject.CLONES, self.machine.place_problem)
            await self._look(Subject.SITE, self._reach_site)
            await trio.sleep(PERIOD_S * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311  # no secret

    def hear(self, event: SessionEvent) -> None:
        """Learn which state a session enters."""
        state, verdict, receipt = event.session.state, event.session.verdict, event.session.receipt
        profile, purpose = event.session.profile.name, event.session.purpose
        if receipt is not None and receipt.commit is not None and receipt.commit.generation is not None:
            self._note_login(profile, None)
        # A session to log in is live without a login.
        if state is SessionState.LIVE and verdict is not None and verdict.is_usable:
            self._note_login(profile, None)
            if profile == DEFAULT_PROFILE:
                self._turn(Subject.PROFILE, None)
        if state is SessionState.JUDGING:
            self._note_page(None)
        if state is SessionState.ENDED:
            match event.error:
                case UpstreamUnreachable():
                    self._note_page(event.error)
                case NotLoggedIn() if event.error.verdict.reason is LoginReason.NO_PROFILE:
                    if profile == DEFAULT_PROFILE:
                        self._turn(Subject.PROFILE, event.error.hint)
                # The page of an import shows what the file has, not what the profile has.
                case NotLoggedIn() if _is_logged_out(event.error) and purpose is not Purpose.IMPORT:
                    self._note_login(profile, event.session.profile_version)

    def problem_of(self, profile: str) -> str | None:
        """Return what would keep a session of a profile from going live, by the latest checks.

        That the last page did not come is none: only another session can find out whether the next one does,
        and those who wait until there is no problem would wait forever.
        """
        for subject in (Subject.CLONES, Subject.SITE):
            problem = self.checks[subject].problem
            if problem is not None and problem != self._page_problem:
                return problem
        return _logged_out_problem([profile]) if profile in self.logged_out else None

    async def _look_quietly(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look at something whose own problems the other checks report."""
        with trio.move_on_after(LIMIT_S):
            try:
                await look()
            except GreenroomError:
                return
            except Exception as exc:
                contain(exc, _log, "the logins of profiles can't be looked at")

    async def _look(self, subject: Subject, look: Callable[[], Awaitable[str | None]]) -> None:
        detail: str | None = None
        try:
            with trio.fail_after(LIMIT_S):
                problem = await look()
        except ProfileLocked:
            return
        except trio.TooSlowError:
            problem = f"No answer within {LIMIT_S:g} seconds"
        except Exception as exc:
            error = as_error(exc)
            problem = error.hint if isinstance(error, NotLoggedIn) else str(error)
            detail = error.detail
        self._turn(subject, problem, detail)

    async def _look_at_profiles(self) -> None:
        for profile in (*(self.logged_out.keys() - {DEFAULT_PROFILE}), DEFAULT_PROFILE):
            try:
                version = await self.machine.profile_version(profile)
            except ProfileNotFound:
                version = ""
            except GreenroomError:
                if profile == DEFAULT_PROFILE:
                    raise
                continue
            if self.logged_out.get(profile, version) != version:
                self._note_login(profile, None)  # somebody has logged in since, as far as we know
                if not self._login_problem():
                    self.checks[Subject.LOGIN] = Check()

    async def _reach_site(self) -> str | None:
        await self.machine.reach_site()
        return self._page_problem

    async def _look_at_logins(self) -> None:
        """Find out which logins end soon, as far as the profiles themselves know."""
        soon = datetime.now(UTC) + SOON
        self.profiles = await self.machine.profiles()
        ends = {one.name: one.login_expires_at for one in self.profiles}
        self._ending = {name: end for name, end in ends.items() if end is not None and end <= soon}
        problem = self._login_problem()
        is_known = self.checks[Subject.LOGIN].health is not Condition.UNKNOWN
        if problem or is_known:
            self._turn(Subject.LOGIN, problem)

    def _note_page(self, error: GreenroomError | None) -> None:
        """Note whether a page came. A problem stays until another page comes."""
        self._page_problem = str(error) if error else None
        self._turn(Subject.SITE, self._page_problem, error.detail if error else None)

    def _note_login(self, profile: str, logged_out_version: str | None) -> None:
        if logged_out_version is None:
            self.logged_out.pop(profile, None)
        else:
            self.logged_out[profile] = logged_out_version
        self._turn(Subject.LOGIN, self._login_problem())

    def _login_problem(self) -> str | None:
        if self.logged_out:
            return _logged_out_problem(sorted(self.logged_out))
        if self._ending:
            profile, end = min(self._ending.items(), key=lambda item: item[1])
            ends = "ended" if end <= datetime.now(UTC) else "ends"
            return (
                f"The login of the profile {profile} {ends} on {end:%Y-%m-%d at %H:%M} UTC at the latest: "
                f"run `{login_command(profile)}`"
            )
        return None

    def _turn(self, subject: Subject, problem: str | None, detail: str | None = None) -> None:
        """Note a subject's condition. Log it and call `on_turn` if it has changed."""
        before = self.checks[subject]
        health = Condition.PROBLEM if problem else Condition.OK
        if health is before.health:
            self.checks[subject] = attrs.evolve(before, problem=problem)
            return
        self.checks[subject] = Check(health=health, problem=problem)
        if problem:
            _log.warning("problem found", check=subject.value, problem=problem, detail=detail)
        elif before.health is Condition.PROBLEM:
            _log.info("problem resolved", check=subject.value)
        self.on_turn()


def _logged_out_problem(profiles: Sequence[str]) -> str:
    commands = " and ".join(f"`{login_command(profile)}`" for profile in profiles)
    whose = "The master profile is" if len(profiles) == 1 else "Master profiles are"
    return f"{whose} logged out: run {commands}"


def _is_logged_out(error: NotLoggedIn) -> bool:
    """Return whether the page itself said so; a captcha or a slow page doesn't."""
    return error.verdict.state is LoginState.LOGGED_OUT
