"""The main job on the practice site with a real browser: what `make demo` shows."""

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import httpx
import trio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from greenroom.actors.browser.cells.marks import own_processes
from greenroom.supervisor.machine import local_browsers
from greenroom.web.commands.desk import open_desk
from greenroom.web.commands.login import Way, log_in
from greenroom.web.commands.serve import open_daemon
from greenroom.web.practice import open_practice_site
from greenroom.web.settings import DaemonSettings

HTTP_TIMEOUT_S = 60.0
CAPTION = "Hello from Greenroom"
PICTURE = Path("demo/session.png")


@attrs.define
class Report:
    """The demo's results, a row each, and whether all of them were as expected."""

    rows: list[tuple[str, str, str, str, bool]] = attrs.field(factory=list)

    def add(self, case: str, expected: str, found: str, *, seconds: float | None = None) -> None:
        """Add a result. It holds if it is the expected one."""
        took = "" if seconds is None else f"{seconds:.2f} s"
        self.rows.append((case, expected, found, took, expected == found))

    @property
    def holds(self) -> bool:
        """Whether every result was the expected one."""
        return all(row[-1] for row in self.rows)

    def table(self) -> Table:
        """Return the report for people."""
        table = Table(
            title="Greenroom on the practice site; POST stands for POST /tiktok/session",
            title_justify="left",
            box=SIMPLE_HEAD,
        )
        for heading in ("case", "expected", "found", "took", ""):
            table.add_column(heading, justify="right" if heading == "took" else "left")
        for case, expected, found, took, holds in self.rows:
            table.add_row(case, expected, found, took, "[green]ok[/]" if holds else "[red]WRONG[/]")
        return table


async def run_demo(engine: str, console: Console) -> bool:
    """Run the main job and print the results as a table. Returns whether all were as expected."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="greenroom-demo-") as folder:
        async with open_practice_site() as site:
            await _run_cases(Path(folder), site, engine, report, console)
    console.print(report.table())
    return report.holds


async def _run_cases(folder: Path, site: str, engine: str, report: Report, console: Console) -> None:
    logged_in = DaemonSettings(
        bind="127.0.0.1:0",
        engine=engine,
        user_data_master_dir=folder / "logged-in",
        clones_dir=folder / "clones",
        tiktok_url=f"{site}/",
        warm_sessions=0,  # so that nothing is left at the end
    )
    logged_out = attrs.evolve(logged_in, user_data_master_dir=folder / "logged-out")
    browsers = await trio.to_thread.run_sync(local_browsers, logged_in)
    console.print(
        f"practice site  {site}\n"
        f"engine         {browsers.engine.name.value} {browsers.engine.version}\n"
        f"sandbox        {browsers.sandbox.value}"
    )

    with _step(console, "Logging a master profile in, through the site's own login form ..."):
        at_form = attrs.evolve(logged_in, tiktok_url=f"{site}/login?as=demo")
        started = time.monotonic()
        async with open_desk(at_form, own=True) as desk:
            done = await log_in(desk, lambda _line: None, way=Way.NONE)
        found = "logged in" if done else "not logged in"
        report.add("log in a profile", "logged in", found, seconds=time.monotonic() - started)
    logged_out.user_data_master_dir.mkdir(mode=0o700)
    (logged_out.user_data_master_dir / "prefs.js").touch()

    async with _open_client(logged_in) as client:
        with _step(console, "Asking for a session of the logged-in profile ..."):
            answer = await _create(client, report, "POST, logged in", "200")
        location = answer.headers.get("Location", "/tiktok/session/none")
        report.add("sessions listed", "1", str(await _count_sessions(client)))
        with _step(console, "Asking for a session while a browser has the master profile open ..."):
            async with browsers.open_browser("demo") as browser:
                await browser.launch(logged_in.user_data_master_dir, headless=True)
                await _create(client, report, "POST, locked", "423 USER_DATA_LOCKED")
        with _step(console, "Deleting the session ..."):
            await _delete(client, report, location)
        with _step(console, "Asking for another session, which the daemon's own end will end ..."):
            answer = await _create(client, report, "POST, once more", "200")
        with _step(console, "Using it: typing, posting, taking a picture ..."):
            await _use(client, report, answer.headers.get("Location", "/tiktok/session/none"), site)
    async with _open_client(logged_out) as client:
        with _step(console, "Asking for a session of a profile that is not logged in ..."):
            await _create(client, report, "POST, logged out", "409 NOT_LOGGED_IN")

    report.add("processes left", "0", str(len(own_processes())))
    report.add("clones left", "0", str(len(list(logged_in.clones_dir.iterdir()))))


async def _use(client: httpx.AsyncClient, report: Report, location: str, site: str) -> None:
    """Fill in and post the form of the site's workshop, and keep a picture of what comes."""
    steps = [
        {"kind": "navigate", "url": f"{site}/workshop"},
        {"kind": "type", "target": "#caption", "text": CAPTION},
        {"kind": "click", "target": "#post"},
        {"kind": "wait_for", "text": f"caption: {CAPTION}"},
    ]
    started = time.monotonic()
    answer = await client.post(f"{location}/actions", json={"actions": steps})
    done = answer.json()
    found = f"{answer.status_code} {done.get('page', {}).get('title', '')}"
    report.add(
        "type and post in its page", "200 Posted · Practice", found, seconds=time.monotonic() - started
    )
    picture = await client.get(f"{location}/screenshot")
    is_picture = picture.content.startswith(b"\x89PNG")
    found = f"{picture.status_code} {'PNG' if is_picture else 'none'}"
    try:
        PICTURE.parent.mkdir(exist_ok=True)  # one small file, and nothing else runs
        PICTURE.write_bytes(picture.content)  # noqa: ASYNC240
    except OSError as exc:
        found = f"not written: {exc.strerror}"
    report.add(f"picture in {PICTURE}", "200 PNG", found)


@contextlib.contextmanager
def _step(console: Console, doing: str) -> Iterator[None]:
    """Show the current step: in place on a terminal, otherwise as a line."""
    if not console.is_terminal:
        console.print(doing)
    with console.status(doing):
        yield


@contextlib.asynccontextmanager
async def _open_client(settings: DaemonSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        open_daemon(settings) as daemon,
        httpx.AsyncClient(base_url=daemon.url, timeout=HTTP_TIMEOUT_S) as client,
    ):
        yield client


async def _create(client: httpx.AsyncClient, report: Report, case: str, expected: str) -> httpx.Response:
    started = time.monotonic()
    answer = await client.post("/tiktok/session", json={})
    details = answer.json().get("error_details", {})
    found = " ".join(filter(None, (str(answer.status_code), details.get("code"))))
    report.add(case, expected, found, seconds=time.monotonic() - started)
    return answer


async def _delete(client: httpx.AsyncClient, report: Report, location: str) -> None:
    started = time.monotonic()
    answer = await client.delete(location)
    report.add("DELETE it", "204", str(answer.status_code), seconds=time.monotonic() - started)


async def _count_sessions(client: httpx.AsyncClient) -> int:
    return len((await client.get("/tiktok/session")).json()["sessions"])
