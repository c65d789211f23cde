"""Sessions on a real browser, compared with the baselines. Greenroom and the baseline take turns."""

import fcntl
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import httpx

from benchmarks.figures import Bar, Row, Statistic
from benchmarks.peers import CHROMIUM, SCRAPLING, SELENIUM
from benchmarks.processes import Program
from benchmarks.stage import Daemon, Peer, Stage

GROUP = "Sessions"
BURST = 8
BURST_WARM = 2
_VISIT = "`goto` and `content`"
_NO_GROUP = "this user can't make the control group that would count it"
_MB = 1e6

Say = Callable[[str], None]


@attrs.define
class _Side:
    """The figures of one side's sessions. `kept` are processes that it keeps between sessions.

    A session lives for `settle_s` before its memory is measured, because a browser still allocates memory
    after its page is there.
    """

    settle_s: float
    kept: list[int] = attrs.field(factory=list)
    ready_s: list[float] = attrs.field(factory=list)
    memory_mb: list[float] = attrs.field(factory=list)
    cpu_s: list[float] = attrs.field(factory=list)

    def add(
        self, program: Program, start: Callable[[], float], end: Callable[[], None], *, own: bool
    ) -> None:
        """Measure a session. If `own`, the program's own memory counts as the session's."""
        cpu_before = program.cpu_s()
        self.ready_s.append(start())
        time.sleep(self.settle_s)
        self.memory_mb.append(_memory_mb(program, own=own))
        end()
        program.wait_alone(self.kept)
        cpu_after = program.cpu_s()
        if cpu_before is not None and cpu_after is not None:
            self.cpu_s.append(cpu_after - cpu_before)


def _memory_mb(program: Program, *, own: bool) -> float:
    """Return the memory of a program's descendants and, if `own`, of the program itself."""
    return (program.started_pss() + (program.own_pss() if own else 0)) / _MB


def measure_cold(stage: Stage, runs: int, settle_s: float, say: Say) -> list[Row]:
    """Measure sessions that are made on request. Each lives for `settle_s`."""
    with stage.open_daemon(warm=0) as daemon, stage.open_peer() as peer:
        _rehearse(daemon, peer)
        ours, theirs = _Side(settle_s, daemon.program.started()), _Side(settle_s)
        for turn in range(runs):
            say(f"none warm, run {turn + 1} of {runs}")
            _add_ours(ours, daemon)
            theirs.add(peer.program, lambda: _seconds(peer), peer.end, own=True)
    return [
        _beside_scrapling("cold", "POST to 200, none warm", "s", 0.75, ours.ready_s, theirs.ready_s),
        _beside_scrapling(
            "memory", "memory of a live session, alone", "MB", 0.8, ours.memory_mb, theirs.memory_mb
        ),
        _beside_scrapling(
            "cpu", "CPU time of a session", "s", 0.85, ours.cpu_s, theirs.cpu_s, why_not=_NO_GROUP
        ),
    ]


def _rehearse(daemon: Daemon, peer: Peer) -> None:
    """Make a session on each side: files are then in memory, and the daemon's hosts are running."""
    _took, location = daemon.create()
    daemon.end(location)
    _seconds(peer)
    peer.end()


def _add_ours(side: _Side, daemon: Daemon) -> None:
    locations: list[str] = []

    def start() -> float:
        took, location = daemon.create()
        locations.append(location)
        return took

    side.add(daemon.program, start, lambda: daemon.end(locations.pop()), own=False)


def _seconds(peer: Peer) -> float:
    (took,) = peer.start()
    if took is None:
        raise RuntimeError("the baseline's session failed")
    return took


def _beside_scrapling(
    key: str,
    title: str,
    unit: str,
    limit: float,
    ours: list[float],
    theirs: list[float],
    why_not: str | None = None,
) -> Row:
    return Row(
        key=key,
        group=GROUP,
        title=title,
        unit=unit,
        bar=Bar(limit=limit),
        samples=tuple(ours),
        baseline=SCRAPLING,
        baseline_samples=tuple(theirs),
        why_not=None if ours else why_not,
    )


def measure_warm(
    stage: Stage, runs: int, settle_s: float, say: Say, measured_scrapling: Sequence[float] = ()
) -> list[Row]:
    """Measure requests that get a warm session, one that has been ready for `settle_s`.

    Bare Scrapling takes turns with them, unless its figures are given. Nothing is measured while a browser is
    starting, which takes a moment longer than the browser reports; hence `settle_s`.
    """
    ours: list[float] = []
    visits: list[float] = []
    scrapling = list(measured_scrapling)
    with (
        stage.open_daemon(warm=1) as daemon,
        stage.open_peer() as visitor,
        stage.open_peer() as peer,
    ):
        visitor.visit()
        for turn in range(runs):
            say(f"one warm, run {turn + 1} of {runs}")
            daemon.wait_warm(1)
            time.sleep(settle_s)
            visits.append(visitor.visit())
            took, location = daemon.create()
            ours.append(took)
            daemon.end(location)
            daemon.wait_warm(1)
            time.sleep(settle_s)
            if not measured_scrapling:
                scrapling.append(_seconds(peer))
                peer.end()
    title = "POST to 200, a warm session at hand"
    row = _beside_scrapling("warm", title, "s", 0.125, ours, scrapling)
    beside_visit = attrs.evolve(
        row, key="warm-visit", bar=Bar(limit=1.25), baseline=_VISIT, baseline_samples=tuple(visits)
    )
    return [beside_visit, row]


def measure_burst(stage: Stage, runs: int, settle_s: float, say: Say) -> list[Row]:
    """Measure many requests at once, and the sessions' memory a moment after the last one is live."""
    ours: list[float] = []
    theirs: list[float] = []
    refused: list[float] = []
    our_memory: list[float] = []
    their_memory: list[float] = []
    with stage.open_daemon(warm=BURST_WARM) as daemon, stage.open_peer() as peer:
        for turn in range(runs):
            say(f"burst of {BURST}, run {turn + 1} of {runs}")
            daemon.wait_warm(BURST_WARM)
            took, located = _burst(daemon)
            ours.append(took)
            refused.append(float(BURST - len(located)))
            daemon.wait_warm(BURST_WARM)
            time.sleep(settle_s)
            our_memory.append(_memory_mb(daemon.program, own=False) / (len(located) + BURST_WARM))
            with ThreadPoolExecutor(BURST) as callers:
                list(callers.map(daemon.end, located))
            took_them = [found for found in peer.start(BURST) if found is not None]
            theirs.append(statistics.fmean(took_them))
            time.sleep(settle_s)
            their_memory.append(_memory_mb(peer.program, own=True) / len(took_them))
            peer.end()
    title = f"burst of {BURST} POSTs, {BURST_WARM} warm: mean"
    baseline = f"{BURST} of {SCRAPLING} at once"
    row = _beside_scrapling("burst", title, "s", 0.5, ours, theirs)
    many = f"memory of a live session, one of {BURST} and {BURST_WARM} warm"
    memory = _beside_scrapling("memory-many", many, "MB", 0.8, our_memory, their_memory)
    return [
        attrs.evolve(memory, baseline=f"one of {BURST} of {SCRAPLING}"),
        attrs.evolve(row, baseline=baseline),
        Row(
            key="burst-refused",
            group=GROUP,
            title="of these, answered with 504, in the worst burst",
            unit="",
            bar=Bar(limit=0),
            statistic=Statistic.MAX,
            samples=tuple(refused),
        ),
    ]


def _burst(daemon: Daemon) -> tuple[float, list[str]]:
    """Return the mean seconds until an answer, and the live sessions' locations. The rest got a 504."""

    def post(_number: int) -> tuple[float, httpx.Response]:
        started = time.perf_counter()
        answer = daemon.http.post("/tiktok/session", json={})
        return time.perf_counter() - started, answer

    with ThreadPoolExecutor(BURST) as callers:
        answers = list(callers.map(post, range(BURST)))
    statuses = [answer.status_code for _took, answer in answers]
    if set(statuses) - {200, 504}:
        raise RuntimeError(f"answers: {statuses}")
    located = [answer.headers["location"] for _took, answer in answers if answer.status_code == 200]
    return statistics.fmean(took for took, _answer in answers), located


def measure_locked(stage: Stage, requests: int, say: Say) -> list[Row]:
    """Measure refusals while the master profile is in use. This process locks it, in place of a browser."""
    say("profile locked")
    samples: list[float] = []
    with stage.open_daemon(warm=0) as daemon, (stage.master / ".parentlock").open("w") as lock:
        _took, location = daemon.create()  # so that the daemon has started everything it needs
        daemon.end(location)
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for _ in range(requests):
            started = time.perf_counter()
            answer = daemon.http.post("/tiktok/session", json={})
            samples.append((time.perf_counter() - started) * 1000)
            if answer.status_code != 423:
                raise RuntimeError(f"{answer.status_code} instead of 423: {answer.text}")
    return [
        Row(
            key="locked",
            group=GROUP,
            title="423, profile locked, p99",
            unit="ms",
            bar=Bar(limit=10),
            statistic=Statistic.P99,
            samples=tuple(samples),
        )
    ]


def measure_others(stage: Stage, missing: dict[str, str], runs: int, say: Say) -> list[Row]:
    """Measure those baselines without a bar that are installed."""
    rows = []
    for key, name in (("chromium", CHROMIUM), ("selenium", SELENIUM)):
        if name in missing:
            continue
        ours: list[float] = []
        theirs: list[float] = []
        with stage.open_daemon(warm=0) as daemon, stage.open_peer(key) as peer:
            for turn in range(runs):
                say(f"{name}, run {turn + 1} of {runs}")
                took, location = daemon.create()
                ours.append(took)
                daemon.end(location)
                theirs.append(_seconds(peer))
                peer.end()
        row = _beside_scrapling(key, "POST to 200, none warm", "s", 0, ours, theirs)
        rows.append(attrs.evolve(row, bar=None, baseline=name))
    return rows
