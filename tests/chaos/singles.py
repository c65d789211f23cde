"""Single cases beside the matrix: callers that hang up, full disks, greedy pages, and so on."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import psutil

from tests.chaos.daemon import Daemon, Request
from tests.chaos.daemon_trials import kill_and_count, sweep_after
from tests.chaos.lane import LIVE, LOST, Lane, open_lane
from tests.chaos.matrix import CLOSE_S, NOTICE_S, Expected, Moment
from tests.chaos.stage import Page
from tests.chaos.trial import Result, Subject, check, count, observe, subject_at
from tests.chaos.victims import Victim, find, host_of
from tests.chaos.world import CREATION_S, POLL_S, RUN, Base, Trouble, add_ballast, own_master, wait_for
from tests.chaos.writing import commit_loses_daemon, commit_loses_host, writer_loses_daemon, writer_loses_host
from tests.real.conftest import GREENROOM

# The daemon samples a session's resource use every 5 s.
_SAMPLE_S = 5.0
_TMPFS_MB = 1400
_LARGER_THAN_DISK = 800 << 20
# How many daemons in a row are killed as soon as their sweep has removed something.
_SWEEPS = 3
_SWEEP_STARTS_S = 20.0
_ABUSE_S = 15


@attrs.frozen(kw_only=True)
class Single:
    """One case. `run` fills in the result. If `is_timed`, it needs the machine to itself."""

    moment: str
    victim: str
    means: str
    run: Callable[[Base, str, Result], None]
    is_timed: bool = False

    @property
    def name(self) -> str:
        """The case's name in the table."""
        return f"{self.moment} x {self.victim} x {self.means}"

    def carry_out(self, base: Base, sandbox: str) -> Result:
        """Run the case, twice if need be. Errors become problems of the result."""
        for tries_left in (1, 0):
            result = Result(sandbox=sandbox, moment=self.moment, victim=self.victim, means=self.means)
            try:
                self.run(base, sandbox, result)
            except Trouble as exc:
                if tries_left:
                    continue
                result.problems.append(str(exc))
            except (OSError, subprocess.SubprocessError) as exc:
                result.problems.append(repr(exc))
            return result
        raise AssertionError("the last try returns")


def singles() -> list[Single]:
    """Return all single cases."""
    cases = [
        Single(moment=moment.value, victim="caller", means="hangs up", run=_hang_up_at(moment))
        for moment in (Moment.CLONING, Moment.LAUNCHING, Moment.NAVIGATING, Moment.JUDGING)
    ]
    pages = (Page.TABS, Page.DOWNLOADS, Page.ALLOCATE)
    cases += [Single(moment="live", victim="page", means=page.value, run=_greedy(page)) for page in pages]
    return [
        *cases,
        Single(moment="cloning", victim="disk", means="full", run=_disk_full),
        Single(moment="cloning", victim="clones directory", means="unwritable", run=_unwritable),
        Single(moment="live", victim="clone", means="deleted", run=_clone_deleted),
        Single(moment="before", victim="file descriptors", means="used up", run=_no_descriptors),
        Single(moment="no session", victim="idle host", means="SIGKILL", run=_idle_host),
        Single(moment="4 live sessions", victim="host", means="SIGKILL", run=_four_lose_host),
        Single(moment="4 live sessions", victim="daemon", means="SIGKILL", run=_four_lose_daemon),
        Single(
            moment="host stopped", victim="daemon", means="SIGKILL", run=_four_and_stopped_host_lose_daemon
        ),
        Single(moment="sweep", victim="next daemons", means="SIGKILL", run=_sweep_killed),
        Single(moment="writing", victim="host", means="SIGKILL", run=writer_loses_host),
        Single(moment="writing", victim="daemon", means="SIGKILL", run=writer_loses_daemon),
        Single(moment="committing", victim="host", means="SIGKILL", run=commit_loses_host),
        Single(moment="committing", victim="daemon", means="SIGKILL", run=commit_loses_daemon),
        Single(moment="live", victim="connections", means="abuse", run=_connections_abused, is_timed=True),
    ]


def _hang_up_at(moment: Moment) -> Callable[[Base, str, Result], None]:
    def run(base: Base, sandbox: str, result: Result) -> None:
        master = base.large_master() if moment is Moment.CLONING else base.master
        with open_lane(base, sandbox, master=master, session_disk_mb=4096, second=False) as lane:
            with subject_at(lane, moment) as subject:
                subject.creation.hang_up()
                expected = Expected(reasons=frozenset({"caller_left"}), within_s=NOTICE_S)
                observe(subject, expected, time.monotonic(), result)
            check(subject, result)

    return run


def _greedy(page: Page) -> Callable[[Base, str, Result], None]:
    reasons = {"over_budget"} if page is Page.ALLOCATE else {"deleted", "over_budget"}

    def run(base: Base, sandbox: str, result: Result) -> None:
        with own_master(base) as master, contextlib.ExitStack() as stack:
            if page is Page.TABS:
                _allow_popups(master)
            lane = stack.enter_context(open_lane(base, sandbox, master=master))
            with subject_at(lane, Moment.LIVE, page) as subject:
                since = time.monotonic()
                _watch(subject, 3 * _SAMPLE_S, result)
                may_live_on = page is not Page.ALLOCATE
                expected = Expected(
                    reasons=frozenset(reasons), within_s=5 * _SAMPLE_S, may_live_on=may_live_on
                )
                observe(subject, expected, since, result)
                usage = lane.daemon.session(subject.id)["usage"]
                if usage:
                    used = (
                        f"{usage['memory_bytes'] >> 20} MB, {usage['processes']} processes, "
                        f"{usage['disk_bytes'] >> 20} MB on disk"
                    )
                    result.end += f" ({used})"
                if page is not Page.ALLOCATE:
                    result.end += f", asked for {lane.stage.taken}"
                    result.expect(lane.stage.taken > 1, "the page could not do it")
            check(subject, result)

    return run


def _watch(subject: Subject, seconds: float, result: Result) -> None:
    """Wait for a while, or until the session ends."""
    with contextlib.suppress(Trouble):
        wait_for(lambda: subject.state() == "ended", seconds, "the session ends")
    result.seconds = seconds


def _allow_popups(master: Path) -> None:
    prefs = {"dom.disable_open_during_load": "false", "dom.popup_maximum": "1000"}
    for name in ("prefs.js", "user.js"):
        with (master / name).open("a") as file:
            file.writelines(f'user_pref("{pref}", {value});\n' for pref, value in prefs.items())


@contextlib.contextmanager
def _small_disk(base: Base) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="disk-", dir=base.folder))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_TMPFS_MB}m,mode=700", "chaos", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def _fill(disk: Path) -> None:
    """Fill a disk while a clone is being made there: the check for room has passed by then."""
    wait_for(lambda: list(disk.glob("clones/*/*/ballast.bin")), 5, "the large file is being copied")
    with (disk / "filler").open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - (16 << 20))


def _refused(
    lane: Lane, result: Result, meanwhile: Callable[[], None] = lambda: None
) -> tuple[int, dict[str, object]]:
    """Ask for a session that must be refused; note the answer and what is left, and return the answer."""
    daemon = lane.daemon
    before = daemon.descriptors()
    since = time.monotonic()
    request = daemon.send("POST", "/tiktok/session")
    meanwhile()
    status, body = request.answer(CREATION_S + 5)
    result.seconds = time.monotonic() - since
    details: dict[str, object] = body.get("error_details", {})
    result.end = f"{status} {details.get('code')}"
    _count_beside_second(lane, result, before)
    return status, details


def _count_beside_second(lane: Lane, result: Result, descriptors: int) -> None:
    """Count what is left, and check that the second session is undisturbed."""
    count(lane, result, descriptors)
    result.expect(result.second in {LIVE, "-"}, f"second session is {result.second}")


def _disk_full(base: Base, sandbox: str, result: Result) -> None:
    with (
        own_master(base) as master,
        _small_disk(base) as disk,
        open_lane(base, sandbox, master=master, clones_dir=disk / "clones") as lane,
    ):
        add_ballast(master, _LARGER_THAN_DISK)
        lane.take_hash()
        status, _details = _refused(lane, result, functools.partial(_fill, disk))
        result.expect(status == 500, f"answered with {status}")
        _expect_logged(lane.daemon, "No space left", result)


def _unwritable(base: Base, sandbox: str, result: Result) -> None:
    with open_lane(base, sandbox) as lane:
        folder = lane.daemon.clones_dir / lane.daemon.owner()
        locked = [folder, folder / "ledger"]
        subprocess.run(["chattr", "+i", *locked], check=True)
        try:
            status, _details = _refused(lane, result)
        finally:
            subprocess.run(["chattr", "-i", *locked], check=True)
        result.expect(status == 500, f"answered with {status}")
        _expect_logged(lane.daemon, "can't be written", result)


def _expect_logged(daemon: Daemon, text: str, result: Result) -> None:
    result.expect(text in daemon.log.read_text(), f"the log does not say {text!r}")


def _clone_deleted(base: Base, sandbox: str, result: Result) -> None:
    with open_lane(base, sandbox) as lane:
        with subject_at(lane, Moment.LIVE) as subject:
            shutil.rmtree(lane.daemon.clones_dir / lane.daemon.owner() / subject.id, ignore_errors=True)
            expected = Expected(
                reasons=frozenset({"deleted", "browser_lost"}), within_s=CLOSE_S, may_live_on=True
            )
            observe(subject, expected, time.monotonic(), result)
        check(subject, result)


def _no_descriptors(base: Base, sandbox: str, result: Result) -> None:
    """Too few descriptors for a session give a 503. Too few even for a connection don't crash the daemon."""
    with open_lane(base, sandbox) as lane:
        daemon = lane.daemon
        process = psutil.Process(daemon.process.pid)
        limits = process.rlimit(psutil.RLIMIT_NOFILE)
        assert isinstance(limits, tuple)
        _soft, hard = limits
        process.rlimit(psutil.RLIMIT_NOFILE, (daemon.descriptors() + 40, hard))
        status, details = _refused(lane, result)
        result.expect(status == 503, f"answered with {status}")
        result.expect(
            "file descriptors" in str(details.get("details")), f"it says {details.get('details')!r}"
        )
        before = daemon.descriptors()
        process.rlimit(psutil.RLIMIT_NOFILE, (before + 2, hard))
        requests: list[Request] = []
        with contextlib.suppress(OSError):
            requests.extend(daemon.send("GET", "/leaks") for _ in range(10))
        for request in requests:
            with contextlib.suppress(OSError):
                request.answer(1)
        process.rlimit(psutil.RLIMIT_NOFILE, (_soft, hard))
        result.expect(daemon.process.poll() is None, "the daemon has ended")
        result.expect(daemon.get("/health")["status"] == "ok", "the daemon does not answer any more")
        _count_beside_second(lane, result, before)


def _idle_host(base: Base, sandbox: str, result: Result) -> None:
    """An idle host dies: nothing is left of it, and the next session gets another."""
    with open_lane(base, sandbox, second=False) as lane:
        daemon = lane.daemon
        idle = wait_for(daemon.idle_host, CREATION_S, "a host is kept ready")
        host = wait_for(lambda: find(Victim.HOST, idle), CREATION_S, "it runs")
        before = daemon.descriptors()
        os.kill(host.pid, signal.SIGKILL)
        _wait_gone(daemon, [idle], NOTICE_S, result)
        with subject_at(lane, Moment.LIVE) as subject:
            result.expect(subject.host() != idle, "the next session is in the host that was killed")
            subject.descriptors = before
            took = result.seconds
            expected = Expected(reasons=frozenset({"deleted"}), within_s=CLOSE_S, may_live_on=True)
            observe(subject, expected, time.monotonic(), result)
            result.seconds, result.end = took, f"the next session {result.end}"
        check(subject, result)


def _four_lose_host(base: Base, sandbox: str, result: Result) -> None:
    """A host dies: all its sessions end, and nothing of them is left."""
    with _four_live(base, sandbox) as lane:
        daemon = lane.daemon
        sessions = list(daemon.sessions())
        markers, host = _markers(daemon)
        before = daemon.descriptors()
        os.kill(wait_for(lambda: find(Victim.HOST, host), 5, "the host is found").pid, signal.SIGKILL)
        _wait_gone(daemon, [host, *markers], 2 * NOTICE_S, result)  # removing four clones takes longer
        wait_for(lambda: not daemon.sessions(), NOTICE_S, "all sessions have ended")
        result.end = ", ".join(sorted({str(daemon.session(session)["end_reason"]) for session in sessions}))
        result.expect(result.end == LOST, f"end reasons are {result.end}")
        count(lane, result, before)


def _markers(daemon: Daemon) -> tuple[list[str], str]:
    """Return the markers of all sessions, and of the one host that they share."""
    markers = [f"{daemon.owner()}.{session}" for session in daemon.sessions()]
    hosts = {host_of(marker) for marker in markers}
    if len(hosts) != 1 or not (host := hosts.pop()):
        raise Trouble("the sessions are not in one host")
    return markers, host


def _wait_gone(daemon: Daemon, markers: list[str], within_s: float, result: Result) -> None:
    """Wait until nothing is left of sessions and hosts, and note how long that took."""
    since = time.monotonic()
    while any(daemon.left(*markers)) and time.monotonic() < since + 2 * within_s:
        time.sleep(POLL_S)
    result.seconds = time.monotonic() - since
    result.expect(result.seconds <= within_s, f"bound is {within_s:g} s")


def _four_lose_daemon(base: Base, sandbox: str, result: Result) -> None:
    with _four_live(base, sandbox) as lane:
        result.seconds = kill_and_count(lane, result)
        result.end = "-"
        sweep_after(lane, sandbox, result)


def _sweep_killed(base: Base, sandbox: str, result: Result) -> None:
    """Daemons are killed while they sweep: the next one sweeps what they left."""
    with _four_live(base, sandbox) as lane:
        result.seconds = kill_and_count(lane, result)
        for _ in range(_SWEEPS):
            _kill_in_sweep(lane)
        result.end = f"{_SWEEPS} killed"
        sweep_after(lane, sandbox, result)


def _kill_in_sweep(lane: Lane) -> None:
    """Start a daemon on a dead one's directory, and kill it once it has removed or made something."""
    clones = lane.daemon.clones_dir
    before = _tree(clones)
    config = lane.daemon.log.parent / "greenroom.toml"
    env = {**os.environ, RUN: lane.base.run, "TMPDIR": str(lane.daemon.scratch)}
    with lane.daemon.log.open("a") as log:
        sweeper = subprocess.Popen(
            [*GREENROOM, "serve", "--config", str(config)], stdout=subprocess.DEVNULL, stderr=log, env=env
        )
    try:
        wait_for(lambda: _tree(clones) != before, _SWEEP_STARTS_S, "a sweep begins")
    finally:
        sweeper.kill()
        sweeper.wait()


def _tree(folder: Path) -> list[Path]:
    """Return the daemons' directories and their content."""
    return sorted(folder.glob("*/*")) + sorted(folder.glob("*/ledger/*"))


def _four_and_stopped_host_lose_daemon(base: Base, sandbox: str, result: Result) -> None:
    """A stopped host ends with its daemon too, sandbox or not."""
    with _four_live(base, sandbox) as lane:
        _, host = _markers(lane.daemon)
        os.kill(wait_for(lambda: find(Victim.HOST, host), 5, "the host is found").pid, signal.SIGSTOP)
        result.seconds = kill_and_count(lane, result)
        result.end = "-"
        sweep_after(lane, sandbox, result)


def _connections_abused(base: Base, sandbox: str, result: Result) -> None:
    """Connections are abused: sessions live on, and the daemon still answers others at once."""
    with open_lane(base, sandbox) as lane:
        daemon = lane.daemon
        before = daemon.descriptors()
        since = time.monotonic()
        abuse = subprocess.run(
            [sys.executable, "-m", "tests.web.http.abuse", f"127.0.0.1:{daemon.port}", str(_ABUSE_S)],
            capture_output=True,
            text=True,
            timeout=4 * _ABUSE_S,
            check=False,
        )
        result.seconds = time.monotonic() - since
        result.end = abuse.stdout.strip()
        result.expect(abuse.returncode == 0, f"abuse: {(abuse.stdout + abuse.stderr)[-300:]}")
        result.expect(daemon.process.poll() is None, "the daemon has ended")
        wait_for(lambda: daemon.descriptors() <= before + 1, 2 * _ABUSE_S, "descriptors come back")
        _count_beside_second(lane, result, before)


@contextlib.contextmanager
def _four_live(base: Base, sandbox: str) -> Iterator[Lane]:
    """Run a daemon with as many live sessions as a host serves."""
    with open_lane(base, sandbox) as lane:
        for _ in range(3):
            with base.launches:
                status, body = lane.daemon.send("POST", "/tiktok/session").answer(CREATION_S + 5)
            if status != 200:
                raise Trouble(f"no session: {status} {body}")
        yield lane
