"""One trial: bring a session to its moment, strike, and count what is left."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator

import attrs

from tests.chaos.daemon import Counts, Daemon, Request
from tests.chaos.lane import LIVE, LOST, Bystander, Lane
from tests.chaos.matrix import ESTABLISHED, NOTICE_S, PAGES, Expected, Moment, Strike
from tests.chaos.stage import Page
from tests.chaos.victims import HOST_PARTS, Process, Victim, find, host_of
from tests.chaos.visitors import Attached, Visitor, Watching
from tests.chaos.world import CREATION_S, POLL_S, Trouble, wait_for

_TRIES = 3
_SLACK_S = 6.0
_WATCH_S = 3.0
_SETTLE_S = 2.0
# How long after it was asked for an action is sure to have begun.
_ACTS_S = 0.5
_BEFORE_LIVE = {Moment.LAUNCHING, Moment.NAVIGATING, Moment.JUDGING}


@attrs.define(kw_only=True)
class Result:
    """A row of the published table."""

    sandbox: str
    moment: str
    victim: str
    means: str
    end: str = ""
    seconds: float | None = None
    processes: int = 0
    directories: int = 0
    entries: int = 0
    descriptors: int | None = None
    second: str = "-"
    others: str = "-"
    master: str = "-"
    problems: list[str] = attrs.field(factory=list)

    def expect(self, holds: bool, problem: str) -> None:
        """Note a problem unless `holds`."""
        if not holds:
            self.problems.append(problem)


@attrs.define(eq=False, kw_only=True)
class Subject:
    """The session under test. `creation` is the request for it, with its answer still unread."""

    lane: Lane
    id: str
    marker: str
    creation: Request
    descriptors: int
    began: float = attrs.field(factory=time.monotonic, init=False)
    action: Request | None = attrs.field(default=None, init=False)
    visitor: Visitor | None = attrs.field(default=None, init=False)
    _deletion: Request | None = attrs.field(default=None, init=False)

    @property
    def daemon(self) -> Daemon:
        """The session's daemon."""
        return self.lane.daemon

    def state(self) -> str:
        """Return the session's state."""
        found: str = self.daemon.session(self.id)["state"]
        return found

    def delete(self) -> None:
        """Send a DELETE without waiting for the answer. The connection stays open."""
        self._deletion = self.daemon.send("DELETE", f"/tiktok/session/{self.id}")

    def act(self) -> None:
        """Begin an action in its page that lasts longer than the trial."""
        body = json.dumps({"kind": "evaluate", "expression": "new Promise(() => {})", "timeout": 300})
        self.action = self.daemon.send("POST", f"/tiktok/session/{self.id}/actions", body)
        time.sleep(_ACTS_S)

    def receive(self, kind: type[Visitor]) -> None:
        """Have a visitor, who then waits for something."""
        self.visitor = kind.visit(self.daemon.port, self.id)
        time.sleep(_ACTS_S)

    def hang_up(self) -> None:
        """Close the connections without reading the answers."""
        for connection in (self.creation, self._deletion, self.action, self.visitor):
            if connection is not None:
                connection.hang_up()

    def left(self) -> Counts:
        """Count its processes, directories and ledger entries."""
        return self.daemon.left(self.marker)

    def host(self) -> str | None:
        """Return its host's marker. Before its browser runs, that is the host which it must get."""
        second = self.lane.second
        return host_of(self.marker) or (second.host if second else None)

    def find(self, victim: Victim) -> Process | None:
        """Return a process of the session or of its host."""
        marker = self.host() if victim in HOST_PARTS else self.marker
        return find(victim, marker) if marker else None


@contextlib.contextmanager
def subject_at(
    lane: Lane, moment: Moment, page: Page | None = None, *, writes: bool = False
) -> Iterator[Subject]:
    """Create a session and bring it to `moment`. `Base.launches` bounds how many launch at once.

    One that `writes` has the profile until its end, and commits.
    """
    lane.stage.show(page or PAGES.get(moment, Page.HOME))
    daemon = lane.daemon
    known = set(daemon.sessions())
    descriptors = daemon.descriptors()
    headers = {"X-Profile-Mode": "write"} if writes else {}
    with contextlib.ExitStack() as stack:
        with lane.base.launches:
            creation = daemon.send("POST", "/tiktok/session", **headers)
            stack.callback(creation.hang_up)
            (session_id,) = wait_for(lambda: set(daemon.sessions()) - known, 3, "a session is listed")
            subject = Subject(
                lane=lane,
                id=session_id,
                marker=f"{daemon.owner()}.{session_id}",
                creation=creation,
                descriptors=descriptors,
            )
            stack.callback(subject.hang_up)
            _reach(subject, moment)
        yield subject


def state_at(moment: Moment) -> str:
    """Return the state of a session at `moment`."""
    return Moment.LIVE.value if moment in ESTABLISHED else moment.value


def _reach(subject: Subject, moment: Moment) -> None:
    wanted = Moment.LIVE if moment in ESTABLISHED | {Moment.ENDING} else moment

    def there() -> bool:
        state = subject.state()
        if state in {"ending", "ended"}:
            raise Trouble(
                f"{moment.value} was not reached: {subject.daemon.session(subject.id)['end_reason']}"
            )
        return bool(state == wanted.value)

    wait_for(there, CREATION_S + 3, f"the session is {wanted.value}")
    if moment is Moment.CLONING:
        clone = subject.daemon.clones_dir / subject.daemon.owner() / subject.id / "ballast.bin"
        wait_for(clone.exists, 3, "the large file is being copied")
    if wanted is Moment.LIVE:
        status, body = subject.creation.answer()
        if status != 200:
            raise Trouble(f"a live session was answered with {status} {body}")
    if moment is Moment.ACTING:
        subject.act()
    if moment is Moment.ATTACHED:
        subject.receive(Attached)
    if moment is Moment.WATCHED:
        subject.receive(Watching)
    if moment is Moment.ENDING:
        browser = wait_for(lambda: subject.find(Victim.BROWSER), 3, "its browser is found")
        os.kill(browser.pid, signal.SIGSTOP)
        subject.delete()
        wait_for(lambda: subject.state() == "ending", 3, "the session is ending")


def strike(lane: Lane, cell: Strike) -> Result:
    """Carry out a cell of the matrix in a lane."""
    return attempt(lane, cell, lambda result: _strike(lane, cell, result))


def attempt(lane: Lane, cell: Strike, trial: Callable[[Result], None]) -> Result:
    """Carry out a trial, and repeat it if its moment was missed. Errors become problems of the result."""
    for tries_left in reversed(range(_TRIES)):
        result = Result(
            sandbox=lane.sandbox,
            moment=cell.moment.value,
            victim=cell.victim.value,
            means=cell.means.value.name,
        )
        try:
            trial(result)
        except (Trouble, OSError) as exc:
            if tries_left and isinstance(exc, Trouble):
                continue
            result.problems.append(str(exc) or repr(exc))
        return result
    raise AssertionError("the last try returns")


def _strike(lane: Lane, cell: Strike, result: Result) -> None:
    second = lane.start_second()
    with subject_at(lane, cell.moment) as subject:
        if cell.victim is Victim.BROWSER_SANDBOX:  # it is complete once the browser runs in it
            wait_for(lambda: subject.find(Victim.BROWSER), 5, "a browser is found")
        victim = wait_for(lambda: subject.find(cell.victim), 5, f"a {cell.victim.value} is found")
        if subject.host() != second.host:
            raise Trouble("the second session is in another host")
        if subject.state() != state_at(cell.moment):
            raise Trouble(f"{cell.moment.value} was over too soon")
        if time.monotonic() > subject.began + CREATION_S - NOTICE_S and cell.moment in _BEFORE_LIVE:
            raise Trouble(f"{cell.moment.value} came too late: the machine is too busy")
        os.kill(victim.pid, cell.means.value)
        struck = time.monotonic()
        observe(subject, cell.expected, struck, result)
    if cell.ends_host:
        host_end = _wait_for_host_end(second, struck, cell.host_ends_within_s, result)
    check(subject, result, second=LOST if cell.ends_host else LIVE)
    if cell.ends_host:
        result.second += f" {host_end:.1f} s"
    elif cell.victim in HOST_PARTS:  # the host's sandbox is still stopped
        if driver := second.find(Victim.DRIVER):
            os.kill(driver.pid, signal.SIGKILL)
        _wait_for_host_end(second, time.monotonic(), NOTICE_S, result)
        result.expect(second.state() == LOST, f"after its host's end the second session is {second.state()}")


def _wait_for_host_end(second: Bystander, since: float, within_s: float, result: Result) -> float:
    """Wait until nothing is left of the second session and its host; return the seconds since `since`."""
    while any(left := second.left()) and time.monotonic() < since + within_s + _SLACK_S:
        time.sleep(POLL_S)
    seconds = time.monotonic() - since
    result.expect(not any(left), f"{left} are left of the second session and its host")
    result.expect(seconds <= within_s, f"the bound for the second session is {within_s:g} s")
    return seconds


def observe(subject: Subject, expected: Expected, since: float, result: Result) -> None:
    """Wait until the session has ended and is gone; note the end reason and the seconds since `since`.

    A session that may live on is deleted after a while, and the seconds count from the deletion.
    """
    deadline = since + expected.within_s + _SLACK_S
    live_since: float | None = None
    ended_it = False
    while True:
        session = subject.daemon.session(subject.id)
        if session["state"] == "ended" and not any(subject.left()):
            break
        now = time.monotonic()
        if session["state"] == "live" and not ended_it:
            live_since = live_since or now
            over = expected.may_live_on and now > live_since + _WATCH_S
            if over or now > deadline:
                result.expect(expected.may_live_on, "it lived on")
                subject.delete()
                ended_it, since, deadline = True, now, now + expected.within_s + _SLACK_S
        if now > deadline + _SLACK_S + (CREATION_S if expected.may_live_on else 0):
            result.problems.append(f"still {session['state']}")
            break
        time.sleep(POLL_S)
    result.seconds = time.monotonic() - since
    reason = session["end_reason"]
    result.end = f"lived on, {reason}" if ended_it else str(reason)
    result.expect(reason in expected.reasons, f"end reason is {reason}")
    result.expect(result.seconds <= expected.within_s, f"bound is {expected.within_s:g} s")
    result.expect(session["receipt"] is not None, "no receipt")
    if live_since is None:
        with contextlib.suppress(OSError):  # the answer may have been read already
            status, _body = subject.creation.answer(2)
            result.expect(status >= 400, f"the creation was answered with {status}")
    if subject.action is not None:
        status, _body = subject.action.answer(2)
        result.expect(status >= 400, f"the action was answered with {status}")
    if subject.visitor is not None:
        result.expect(subject.visitor.is_over(2), "the visitor was not told")


def check(subject: Subject, result: Result, *, second: str = LIVE) -> None:
    """Count what is left of a session that has ended, and check the bystanders."""
    count(subject.lane, result, subject.descriptors)
    state = subject.lane.second_state()
    result.expect(state in {second, "-"}, f"the session in the same host is {state}")


def count(lane: Lane, result: Result, descriptors: int) -> None:
    """Count what doesn't belong to the live bystanders, once the daemon has settled."""
    daemon = lane.daemon
    known = lane.known()
    deadline = time.monotonic() + _SETTLE_S
    while (any(daemon.strays(*known)) or lane.second_state() == "ending") and time.monotonic() < deadline:
        time.sleep(POLL_S)
    result.processes, result.directories, result.entries = daemon.strays(*known)
    result.descriptors = descriptor_growth(daemon, descriptors)
    result.second = lane.second_state()
    result.others = lane.others_state()
    result.master = lane.master_state()
    leaked = daemon.leaked()
    result.expect(result.processes == 0, f"{result.processes} processes are left")
    result.expect(result.directories == 0, f"{result.directories} directories are left")
    result.expect(result.entries == 0, f"{result.entries} ledger entries are left")
    result.expect(leaked == 0, f"/leaks shows {leaked}")
    result.expect(result.descriptors <= 0, f"{result.descriptors} more file descriptors")
    result.expect(result.others in {LIVE, "-"}, f"sessions in another host are {result.others}")
    result.expect(result.master == "same", "the master changed")


def descriptor_growth(daemon: Daemon, before: int) -> int:
    """Return how many more descriptors the daemon has than `before`, once it has settled."""
    deadline = time.monotonic() + _SETTLE_S
    while (growth := daemon.descriptors() - before) > 0 and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return growth
