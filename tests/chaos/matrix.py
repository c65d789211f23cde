"""The cells of the matrix: who dies by what and when, and what has to come of it."""

import enum
import signal

import attrs

from tests.chaos.stage import Page
from tests.chaos.victims import HOST_PARTS, SANDBOXES, Victim
from tests.chaos.world import CREATION_S
from tests.patience import patience

# The product's own limits, in seconds, with what a busy machine adds.
NOTICE_S = patience(3.0)  # a death is noticed at once; then the cell is killed and the clone removed
STALL_S = 2 + 15 + NOTICE_S  # the heartbeat's pause and its patience
CLOSE_S = 5 + NOTICE_S  # the grace of a polite close
LET_GO_S = 5.0  # how long a host that does not answer may take to let go of a session, before it is killed
LATE_S = CREATION_S + NOTICE_S


class Moment(enum.Enum):
    """What a session is doing when it happens."""

    CLONING = "cloning"
    LAUNCHING = "launching"
    NAVIGATING = "navigating"
    JUDGING = "judging"
    LIVE = "live"
    ENDING = "ending"


class Means(enum.Enum):
    """How the victim is struck."""

    KILL = signal.SIGKILL
    STOP = signal.SIGSTOP


PAGES = {Moment.NAVIGATING: Page.HANG, Moment.JUDGING: Page.UNCERTAIN}


@attrs.frozen(kw_only=True)
class Expected:
    """How a session may end, and how soon after the signal."""

    reasons: frozenset[str]
    within_s: float
    may_live_on: bool = False


@attrs.frozen(kw_only=True)
class Strike:
    """One cell of the matrix."""

    moment: Moment
    victim: Victim
    means: Means

    @property
    def name(self) -> str:
        """What the cell is called."""
        return f"{self.moment.value} x {self.victim.value} x {self.means.value.name}"

    @property
    def ends_host(self) -> bool:
        """Whether it is the end of the host, and with that of all sessions in it."""
        return self.victim in HOST_PARTS and not self._is_harmless

    @property
    def host_ends_within_s(self) -> float:
        """How soon after the signal the host, and all sessions in it, are seen to have ended, if they do."""
        if self.moment is Moment.LAUNCHING:  # looked at once the session, launched once more, has ended
            return LATE_S + CLOSE_S
        return NOTICE_S if self.means is Means.KILL else STALL_S + LET_GO_S

    @property
    def expected(self) -> Expected:
        """What has to come of it."""
        expected = self._expected()
        is_silent = self.ends_host and self.means is Means.STOP
        return attrs.evolve(expected, within_s=expected.within_s + LET_GO_S) if is_silent else expected

    def _expected(self) -> Expected:
        if self.moment is Moment.ENDING:
            return Expected(reasons=frozenset({"deleted"}), within_s=CLOSE_S)
        if self._is_harmless:
            return self._expected_of_harmless()
        if self.ends_host and self.moment is Moment.LAUNCHING:  # it is launched once more, in another host
            again = {"deleted", "creation_timeout", "browser_lost", "failed"}
            return Expected(reasons=frozenset(again), within_s=LATE_S, may_live_on=True)
        if self.means is Means.KILL:
            reasons = {"browser_lost"} | ({"failed"} if self.moment is Moment.LAUNCHING else set())
            return Expected(reasons=frozenset(reasons), within_s=NOTICE_S)
        if self.moment is Moment.LIVE:
            return Expected(reasons=frozenset({"browser_lost"}), within_s=STALL_S)
        # The creation's deadline or the heartbeat, whichever is first.
        return Expected(reasons=frozenset({"creation_timeout", "browser_lost"}), within_s=LATE_S)

    @property
    def _is_harmless(self) -> bool:
        """Whether a session can do without the victim: a stopped sandbox still holds, a tab may crash."""
        return self.victim is Victim.CONTENT or (self.means is Means.STOP and self.victim in SANDBOXES)

    def _expected_of_harmless(self) -> Expected:
        crash = {"browser_lost"} if self.victim is Victim.CONTENT else set()
        if self.moment in {Moment.NAVIGATING, Moment.JUDGING}:
            return Expected(reasons=frozenset({"creation_timeout"} | crash), within_s=LATE_S)
        return Expected(reasons=frozenset({"deleted"} | crash), within_s=CLOSE_S, may_live_on=True)


def matrix(sandbox: str) -> list[Strike]:
    """Return the cells on processes of a session and of its host, for a sandbox mode."""
    strikes = []
    for means in Means:
        for moment in Moment:
            for victim in Victim:
                strike = Strike(moment=moment, victim=victim, means=means)
                if _applies(strike, sandbox):
                    strikes.append(strike)
    return strikes


def daemon_strikes() -> list[Strike]:
    """Return the cells in which the daemon is the victim."""
    return [Strike(moment=moment, victim=Victim.DAEMON, means=means) for means in Means for moment in Moment]


def quick_strikes(sandbox: str) -> list[Strike]:
    """Return the cells that are cheap enough for the test suite."""
    victims = [Victim.BROWSER, Victim.BROWSER_SANDBOX, Victim.DRIVER, Victim.HOST, Victim.HOST_SANDBOX]
    if sandbox == "none":
        victims = [victim for victim in victims if victim not in SANDBOXES]
    return [Strike(moment=Moment.LIVE, victim=victim, means=Means.KILL) for victim in victims]


def _applies(strike: Strike, sandbox: str) -> bool:
    if strike.victim is Victim.DAEMON or strike.moment is Moment.CLONING:
        return False  # before launching, a session has no process of its own
    if strike.victim in SANDBOXES and sandbox == "none":
        return False
    if strike.victim is Victim.CONTENT and strike.moment in {Moment.LAUNCHING, Moment.NAVIGATING}:
        return False  # there is no page yet
    # A sandbox's init and its outer process die as one; one moment is enough to show it.
    return strike.victim not in {Victim.HOST_INIT, Victim.BROWSER_INIT} or strike.moment is Moment.LIVE
