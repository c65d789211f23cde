"""Run a soak and write down what it found: `python -m tests.soak --browserless 10000`."""

import contextlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import structlog
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from greenroom import SupervisorConfig
from greenroom.actors.browser.cells.sandbox import SandboxChoice, choose_sandbox
from greenroom.actors.browser.engines import EngineChoice, find_engine
from greenroom.actors.resources import keep_one_arena
from tests.actors.profile.profile_trees import make_profile
from tests.real.conftest import COMMAND_S, GREENROOM, fingerprint, running
from tests.soak.plans import browser_plan, browserless_plan, soak_config
from tests.soak.report import Setting, hosts, rate, result_table, write_section
from tests.soak.running import Plan, Soak, Tally, hurried

_CONSOLE = Console()
_MB = 1 << 20


@click.command(context_settings={"show_default": True})
@click.option("--browserless", type=click.IntRange(0), default=10_000, help="Cycles without a browser.")
@click.option("--browser", type=click.IntRange(0), default=200, help="Cycles with Firefox.")
@click.option("--sandbox", type=click.Choice(["auto", "bubblewrap", "none"]), default="auto")
@click.option("--concurrency", type=click.IntRange(1), help="Sessions at once: 8, or 2 with Firefox.")
@click.option("--seed", type=int, help="Repeat the draws of another run.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("docs/soak.md"))
def main(
    *, browserless: int, browser: int, sandbox: str, concurrency: int | None, seed: int | None, report: Path
) -> None:
    """Create and end sessions with random faults. Fail if they leave anything behind or memory grows."""
    keep_one_arena()  # as the daemon does
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    _CONSOLE.print(f"seed {seed}")
    failed = False
    if browserless:
        with tempfile.TemporaryDirectory(prefix="greenroom-soak-") as folder:
            plan = browserless_plan(browserless, concurrency or 8, seed)
            make_profile(Path(folder, "master"))
            failed |= _soak(plan, Path(folder), sandbox, "http://127.0.0.1:9/", report)
    if browser:
        with tempfile.TemporaryDirectory(prefix="greenroom-soak-") as folder, _logged_in(folder) as url:
            plan = browser_plan(browser, concurrency or 2, seed)
            failed |= _soak(plan, Path(folder), sandbox, url, report)
    sys.exit(failed)


@contextlib.contextmanager
def _logged_in(folder: str) -> Iterator[str]:
    """Run a practice site and log a master profile in to it; yield the site's address."""
    with running("practice", "--bind", "127.0.0.1:0") as (_process, said):
        url = said["practice site"].rstrip("/")
        login = [*GREENROOM, "login", "--headless", "--url", f"{url}/login?as=maker", "--user-data-dir"]
        subprocess.run([*login, f"{folder}/master"], check=True, timeout=COMMAND_S, stdout=subprocess.DEVNULL)
        yield f"{url}/"


def _soak(plan: Plan, folder: Path, sandbox: str, url: str, report: Path) -> bool:
    """Run one soak, print and write its results, and return whether it failed."""
    config = soak_config(plan, folder, sandbox, url)
    before = fingerprint(config.user_data_master_dir)
    with _shown(plan) as soak, hurried(plan):
        tally = trio.run(_run, soak, config, folder)
    tally.leaks["changes to the master profile"] += fingerprint(config.user_data_master_dir) != before
    engine = find_engine(EngineChoice.FIREFOX) if not plan.browserless else None
    setting = Setting(
        plan=plan,
        sandbox=choose_sandbox(SandboxChoice(sandbox)),
        command=_command(plan, sandbox),
        engine=f"Firefox {engine.version}" if engine else "no browser",
    )
    report.parent.mkdir(exist_ok=True)
    write_section(report, setting, tally)
    _CONSOLE.print(result_table(tally))
    _CONSOLE.print(f"{setting.title}: {tally.cycles:,} cycles in {tally.seconds:.0f} s, {rate(tally)}")
    _CONSOLE.print(hosts(tally))
    for failure in tally.failures or ["nothing left behind"]:
        _CONSOLE.print(failure)
    return bool(tally.failures)


async def _run(soak: Soak, config: SupervisorConfig, folder: Path) -> Tally:
    broken = folder / "broken"
    shutil.copytree(config.user_data_master_dir, broken, symlinks=True)
    os.mkfifo(broken / "pipe")
    return await soak.run(config, broken)


@contextlib.contextmanager
def _shown(plan: Plan) -> Iterator[Soak]:
    """Yield a soak that shows its progress on the terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_CONSOLE, disable=not _CONSOLE.is_terminal) as progress:
        task = progress.add_task("cycles", total=plan.cycles)

        def show_batch(tally: Tally) -> None:
            found = tally.footprints[-1]
            left = sum(tally.leaks.values())
            progress.console.print(
                f"{tally.cycles:>6,} cycles  RSS {found.rss / _MB:.2f} MB  PSS {found.pss / _MB:.2f} MB  "
                f"{found.descriptors} descriptors  {left} left behind  {len(tally.surprises)} surprises"
            )

        yield Soak(
            plan=plan,
            on_cycle=lambda tally: progress.update(task, completed=tally.cycles),
            on_batch=show_batch,
        )


def _command(plan: Plan, sandbox: str) -> str:
    kind = (
        f"--browserless {plan.cycles} --browser 0"
        if plan.browserless
        else f"--browserless 0 --browser {plan.cycles}"
    )
    return f"python -m tests.soak {kind} --sandbox {sandbox}"


if __name__ == "__main__":
    main()
