"""The cells of the matrix: which process is struck, how and when, and what must happen then."""

import enum
import signal

import attrs

from tests.chaos.stage import Page
from tests.chaos.victims import HOST_PARTS, SANDBOXES, Victim
from tests.chaos.world import CREATION_S
from tests.patience import patience

# The product's own limits, in seconds, plus an allowance for a busy machine.
NOTICE_S = patience(3.0)  # a death is noticed at once; then the cell is killed and the clone removed
STALL_S = 2 + 15 + NOTICE_S  # the heartbeat's pause and its patience
CLOSE_S = 5 + NOTICE_S  # the grace of a polite close
RELEASE_S = 5.0  # how long a host that does not answer gets to release a session, before it is killed
LATE_S = CREATION_S + NOTICE_S


class Moment(enum.Enum):
    """What the session is doing when the signal comes."""

    CLONING = "cloning"
    LAUNCHING = "launching"
    NAVIGATING = "navigating"
    JUDGING = "judging"
    LIVE = "live"
    ACTING = "acting"
    ATTACHED = "attached"
    WATCHED = "watched"
    ENDING = "ending"


ESTABLISHED = {Moment.LIVE, Moment.ACTING, Moment.ATTACHED, Moment.WATCHED}
"""When the session is live, and nobody has asked it to end."""


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
        """The cell's name in the table."""
        return f"{self.moment.value} x {self.victim.value} x {self.means.value.name}"

    @property
    def ends_host(self) -> bool:
        """Whether the host ends, and all its sessions with it."""
        return self.victim in HOST_PARTS and not self._is_harmless

    @property
    def host_ends_within_s(self) -> float:
        """How soon after the signal the host and all its sessions must be gone, if `ends_host`."""
        if self.moment is Moment.LAUNCHING:  # the session is launched again, and the trial first waits for it
            return LATE_S + CLOSE_S
        return NOTICE_S if self.means is Means.KILL else STALL_S + RELEASE_S

    @property
    def expected(self) -> Expected:
        """How the session must end."""
        expected = self._expected()
        is_silent = self.ends_host and self.means is Means.STOP
        return attrs.evolve(expected, within_s=expected.within_s + RELEASE_S) if is_silent else expected

    def _expected(self) -> Expected:
        if self.moment is Moment.ENDING:
            return Expected(reasons=frozenset({"deleted"}), within_s=CLOSE_S)
        if self._is_harmless:
            return self._expected_of_harmless()
        if self.ends_host and self.moment is Moment.LAUNCHING:  # it is launched again, in another host
            again = {"deleted", "creation_timeout", "browser_lost", "failed"}
            return Expected(reasons=frozenset(again), within_s=LATE_S, may_live_on=True)
        if self.means is Means.KILL:
            reasons = {"browser_lost"} | ({"failed"} if self.moment is Moment.LAUNCHING else set())
            return Expected(reasons=frozenset(reasons), within_s=NOTICE_S)
        if self.moment in ESTABLISHED:
            return Expected(reasons=frozenset({"browser_lost"}), within_s=STALL_S)
        # Ended by the creation's deadline or by the heartbeat, whichever comes first.
        return Expected(reasons=frozenset({"creation_timeout", "browser_lost"}), within_s=LATE_S)

    @property
    def _is_harmless(self) -> bool:
        """Whether a session survives the loss: a stopped sandbox still holds, and a tab may crash."""
        return self.victim is Victim.CONTENT or (self.means is Means.STOP and self.victim in SANDBOXES)

    def _expected_of_harmless(self) -> Expected:
        crash = {"browser_lost"} if self.victim is Victim.CONTENT else set()
        if self.moment in {Moment.NAVIGATING, Moment.JUDGING}:
            return Expected(reasons=frozenset({"creation_timeout"} | crash), within_s=LATE_S)
        return Expected(reasons=frozenset({"deleted"} | crash), within_s=CLOSE_S, may_live_on=True)


def matrix(sandbox: str) -> list[Strike]:
    """Return the cells that strike processes of a session or of its host, for a sandbox mode."""
    strikes = []
    for means in Means:
        for moment in Moment:
            for victim in Victim:
                strike = Strike(moment=moment, victim=victim, means=means)
                if _applies(strike, sandbox):
                    strikes.append(strike)
    return strikes


def daemon_strikes() -> list[Strike]:
    """Return the cells that strike the daemon."""
    return [Strike(moment=moment, victim=Victim.DAEMON, means=means) for means in Means for moment in Moment]


def quick_strikes() -> list[Strike]:
    """Return the cells that are cheap enough for the test suite; sandboxes have tests of their own."""
    victims = [Victim.BROWSER, Victim.DRIVER, Victim.HOST]
    return [Strike(moment=Moment.LIVE, victim=victim, means=Means.KILL) for victim in victims]


def _applies(strike: Strike, sandbox: str) -> bool:
    if strike.victim is Victim.DAEMON or strike.moment is Moment.CLONING:
        return False  # the daemon has cells of its own; a session that is cloning has no process yet
    if strike.victim in SANDBOXES and sandbox == "none":
        return False
    if strike.victim is Victim.CONTENT and strike.moment in {Moment.LAUNCHING, Moment.NAVIGATING}:
        return False  # there is no page yet
    # A sandbox's init and its outer process die together. One moment is enough to show that.
    return strike.victim not in {Victim.HOST_INIT, Victim.BROWSER_INIT} or strike.moment is Moment.LIVE
