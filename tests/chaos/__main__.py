"""Run the matrix: `python -m tests.chaos`, or `make chaos`."""

import contextlib
import functools
import queue
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console

from tests.chaos.daemon_trials import strike_daemon
from tests.chaos.lane import Lane, open_lane
from tests.chaos.matrix import daemon_strikes, matrix, quick_strikes
from tests.chaos.report import print_table, read_page, write_page
from tests.chaos.singles import singles
from tests.chaos.trial import Result, strike
from tests.chaos.world import CREATION_S, Base, Trouble, open_base

_PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
_SANDBOXES = ("bubblewrap", "none")


@attrs.frozen(kw_only=True)
class Job:
    """A cell to run: `in_lane` in a lane shared with other cells, `alone` in one of its own.

    One that `is_timed` runs after all the others, because they would disturb its timing.
    """

    number: int
    sandbox: str
    name: str
    in_lane: Callable[[Lane], Result] | None = None
    alone: Callable[[Base], Result] | None = None
    is_timed: bool = False


Waiting = queue.SimpleQueue[Job]


def jobs_for(sandboxes: tuple[str, ...], only: str, *, quick: bool) -> list[Job]:
    """Return the cells to run, in the order of the published table."""
    jobs: list[Job] = []

    def add(sandbox: str, name: str, **how: Any) -> None:
        if only.lower() in f"{sandbox} x {name}".lower():
            jobs.append(Job(number=len(jobs), sandbox=sandbox, name=name, **how))

    for sandbox in sandboxes:
        for cell in quick_strikes() if quick else matrix(sandbox):
            add(sandbox, cell.name, in_lane=functools.partial(strike, cell=cell))
        for cell in () if quick else daemon_strikes():
            add(sandbox, cell.name, alone=functools.partial(strike_daemon, sandbox=sandbox, cell=cell))
        for single in () if quick else singles():
            run = functools.partial(single.carry_out, sandbox=sandbox)
            add(sandbox, single.name, alone=run, is_timed=single.is_timed)
    return jobs


@attrs.define(eq=False)
class Play:
    """Runs jobs in several lanes at once, and prints each result as it comes."""

    base: Base
    console: Console
    results: dict[int, Result] = attrs.field(factory=dict)
    stopping: threading.Event = attrs.field(factory=threading.Event)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)
    _total: int = 0

    def run(self, jobs: list[Job], lanes: int, *, stop_at: float) -> None:
        """Run all jobs. The slow ones run alongside the others. After `stop_at`, no job is started."""
        self._total = len(jobs)
        threads: list[threading.Thread] = []
        for sandbox in sorted({job.sandbox for job in jobs}):
            shared: Waiting = queue.SimpleQueue()
            alone: Waiting = queue.SimpleQueue()
            for job in jobs:
                if job.sandbox == sandbox and not job.is_timed:
                    (alone if job.in_lane is None else shared).put(job)
            # One thread starts with the cells that need a lane of their own, then helps with the others.
            threads += [
                threading.Thread(target=self._work, args=(sandbox, shared, alone, number == 0))
                for number in range(lanes)
            ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join(max(0, stop_at - time.monotonic()))
            timed: Waiting = queue.SimpleQueue()
            for job in jobs:
                if job.is_timed:
                    timed.put(job)
            self._run_alone(timed)
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()

    def _work(self, sandbox: str, shared: Waiting, alone: Waiting, alone_first: bool) -> None:
        if alone_first:
            self._run_alone(alone)
        self._run_shared(sandbox, shared)
        self._run_alone(alone)

    def _run_alone(self, waiting: Waiting) -> None:
        while (job := self._next(waiting)) is not None and job.alone:
            self._note(job, self._guarded(job, functools.partial(job.alone, self.base)))

    def _run_shared(self, sandbox: str, waiting: Waiting) -> None:
        """Run jobs in one lane. After a job with problems, open a new lane."""
        job = self._next(waiting)
        while job is not None:
            try:
                with open_lane(self.base, sandbox, others=True) as lane:
                    sound = True
                    while sound and job is not None and job.in_lane:
                        result = self._guarded(job, functools.partial(job.in_lane, lane))
                        self._note(job, result)
                        sound = not result.problems
                        job = self._next(waiting)
            except (Trouble, OSError) as exc:
                if job is not None:
                    self._note(job, _problem(job, str(exc) or repr(exc)))
                job = self._next(waiting)

    def _next(self, waiting: Waiting) -> Job | None:
        with contextlib.suppress(queue.Empty):
            return None if self.stopping.is_set() else waiting.get_nowait()
        return None

    def _guarded(self, job: Job, run: Callable[[], Result]) -> Result:
        try:
            return run()
        except Exception as exc:  # a cell that raises has failed; the others go on
            return _problem(job, str(exc) or repr(exc))

    def _note(self, job: Job, result: Result) -> None:
        with self._lock:
            self.results[job.number] = result
            mark = "[red]FAILS[/]" if result.problems else "[green]holds[/]"
            took = "" if result.seconds is None else f"{result.seconds:.1f} s"
            self.console.print(
                f"{len(self.results):3}/{self._total} {mark} {job.sandbox:10} {job.name}: {result.end} {took}"
            )
            for problem in result.problems:
                self.console.print(f"        {problem}", style="red", markup=False)


def not_run(job: Job) -> Result:
    """Return the row of a cell that there was no time to run."""
    return _problem(job, "not run")


def _key(result: Result) -> tuple[str, str, str, str]:
    return result.sandbox, result.moment, result.victim, result.means


def _problem(job: Job, problem: str) -> Result:
    moment, victim, means = job.name.split(" x ")
    return Result(sandbox=job.sandbox, moment=moment, victim=victim, means=means, problems=[problem])


@click.command()
@click.option("--sandbox", type=click.Choice([*_SANDBOXES, "both"]), default="both", show_default=True)
@click.option("--only", metavar="TEXT", default="", help="Run only cells with this in their names.")
@click.option("--quick", is_flag=True, help="Run only the cells that the test suite runs too.")
@click.option(
    "--lanes", type=click.IntRange(1, 8), default=2, show_default=True, help="Daemons at once, per sandbox."
)
@click.option("--minutes", type=click.FloatRange(1), default=120, help="After this, start no more cells.")
@click.option("--again", is_flag=True, help="Run only what fails or is missing in docs/chaos.md.")
@click.option("--write/--no-write", default=None, help="Write docs/chaos.md.  [default: if all cells run]")
def main(
    sandbox: str, only: str, quick: bool, lanes: int, minutes: float, again: bool, write: bool | None
) -> None:
    """Kill and stop every part of a session, at every moment, and count what is left.

    Exit code 1 if any cell fails.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 220)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    jobs = jobs_for(_SANDBOXES if sandbox == "both" else (sandbox,), only, quick=quick)
    known = {_key(result): result for result in read_page(_PAGE)} if again else {}
    todo = [job for job in jobs if _key(not_run(job)) not in known]
    started = time.monotonic()
    with open_base() as base:
        play = Play(base, console)
        play.run(todo, lanes, stop_at=started + 60 * minutes)
    results = [play.results.get(job.number) or known.get(_key(not_run(job))) or not_run(job) for job in jobs]
    print_table(results, console)
    if write or (write is None and not only and not quick):
        command = shlex.join(["python", "-m", "tests.chaos", *sys.argv[1:]])
        took_s = time.monotonic() - started
        write_page(_PAGE, results, command=command, kept=len(known), took_s=took_s, creation_s=CREATION_S)
    failing = [result for result in results if result.problems]
    console.print(f"{len(results) - len(failing)} of {len(results)} cells hold, {len(failing)} fail")
    sys.exit(1 if failing else 0)


if __name__ == "__main__":
    main()
