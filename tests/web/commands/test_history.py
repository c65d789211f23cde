"""`greenroom history`: from a real daemon, from the file that it leaves when it is killed, and its tables."""

import io
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from click.testing import CliRunner, Result
from rich.console import Console

from greenroom.actors.lifecycle import EndReason
from greenroom.client import AsyncClient
from greenroom.supervisor.history import Outcome, Page, Percentiles, Position, Summary, open_history
from greenroom.web.cli import main
from greenroom.web.commands.history import ask_history, parse_time, show_history
from greenroom.web.console import make_console
from greenroom.web.history_cli import OUTCOMES, REASONS
from greenroom.web.http.history_schemas import HistoryAnswer
from greenroom.web.settings import DaemonSettings
from tests.patience import patience
from tests.supervisor.history.entries import FULL, NOON, ended
from tests.web.http.front import open_front

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
NOBODY = "127.0.0.1:9"


def invoke(*words: str) -> Result:
    """Run the command in this process, where no daemon is at the usual address."""
    result = CliRunner().invoke(main, ["history", *words], env={"GREENROOM_BIND": NOBODY})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def wait_for_history(address: str, total: int) -> Any:
    """Return what a daemon says once so many sessions have ended."""
    deadline = time.monotonic() + patience(10)
    while True:
        answer: Any = json.loads(invoke("--url", address, "--json").stdout)
        if answer["total"] == total:
            return answer
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_history_of_a_daemon_outlives_its_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked while it runs, and its file is read once it is dead. It refuses: its profile is missing."""
    for name, value in {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GREENROOM_USER_DATA_MASTER_DIR": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    command = [GREENROOM, "serve", "--bind", "127.0.0.1:0", "--engine", "firefox"]
    environ = {**os.environ, "GREENROOM_WARM_SESSIONS": "0"}
    daemon = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    )
    try:
        assert daemon.stdout is not None
        line = ""
        while not line.startswith("address"):
            line = daemon.stdout.readline()
            assert line
        address = line.split()[-1]
        for _ in range(2):
            answer = httpx.post(f"{address}/tiktok/session", json={}, trust_env=False)
            assert answer.status_code == 409
        told = wait_for_history(address, 2)
    finally:
        daemon.kill()
        daemon.communicate()
    assert {one["outcome"] for one in told["sessions"]} == {"refused"}
    assert json.loads(invoke("--json").stdout) == told
    assert json.loads(invoke("--json", "--outcome", "served").stdout)["total"] == 0
    page = json.loads(invoke("--json", "--limit", "1").stdout)
    rest = json.loads(invoke("--json", "--limit", "1", "--cursor", page["next"]).stdout)
    assert page["sessions"] + rest["sessions"] == told["sessions"]
    one = told["sessions"][0]["id"]
    by_its_beginning = json.loads(invoke("--json", "--id", one[:8]).stdout)["sessions"]
    assert [found["id"] for found in by_its_beginning] == [one]
    listed = invoke("--since", "1h").stdout
    assert "2 sessions have ended: 2 refused (from " in listed
    assert f"{tmp_path}/state/greenroom/history.sqlite3; no daemon runs)" in listed
    assert all(one["id"] in listed for one in told["sessions"])


def test_history_without_a_file_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made by asking."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    missing = f"{tmp_path}/state/greenroom/history.sqlite3"
    expected = f"0 sessions have ended (from {missing}: there is no such file; no daemon runs)\n"
    assert invoke().stdout == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (("--outcome", "fine"), "'fine' is not one of 'served', 'broken', ", 2),
        (("--reason", "fine"), "'fine' is not one of 'expired', 'idle', ", 2),
        (("--profile", "No Such!"), "Invalid value for '--profile': 'No Such!'", 2),
        (("--since", "soon"), "--since: 'soon' is no time, as 2026-11-27T12:00 is, or 30m, 2h, 7d ago", 2),
        (("--until", "999999d"), "--until: '999999d' is no time, as ", 2),
        (("--limit", "0"), "0 is not in the range", 2),
        (("--cursor", "x"), "no cursor", 2),
        (("--url", f"http://{NOBODY}"), "No daemon answers", 1),
    ],
)
def test_what_can_not_be_asked_is_explained(words: tuple[str, ...], told: str, code: int) -> None:
    """Wrong usage is 2, and a daemon that was named but is not there is 1."""
    result = invoke(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr


def test_words_of_the_options_are_those_of_the_history() -> None:
    """They are written out, so that the command line starts without what they come from."""
    assert list(OUTCOMES) == [outcome.value for outcome in Outcome]
    assert list(REASONS) == [reason.value for reason in EndReason]


async def test_daemon_that_answers_wrongly_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read all the same, and why is said."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with open_front() as front:
        settings = DaemonSettings(
            bind=front.url.removeprefix("http://"),
            tls_certificate=tmp_path / "none",
            tls_key=tmp_path / "none",
        )
        _answer, source = await trio.to_thread.run_sync(ask_history, settings, None, {})
    assert source.endswith(
        "greenroom/history.sqlite3: there is no such file; The daemon's certificate "
        f"{tmp_path}/none can't be read: No such file or directory"
    )


async def test_client_asks_by_fields(tmp_path: Path) -> None:
    """Each narrows the list down; a time needs no zone."""
    path = tmp_path / "history.sqlite3"
    async with (
        open_history(path, days=1) as history,
        open_front(history=history) as front,
        AsyncClient(front.url) as client,
    ):
        ids = [await client.create() for _ in range(2)]
        for one in ids:
            await client.session(one).end()
        while (await client.history()).total < 2:
            await trio.sleep(0.01)
        now = datetime.now()  # noqa: DTZ005  # local
        hour = timedelta(hours=1)
        for fields, total in (
            ({"id": ids[0][:12]}, 1),
            ({"outcome": Outcome.SERVED, "end_reason": "deleted", "profile": "default"}, 2),
            ({"outcome": "broken"}, 0),
            ({"end_reason": EndReason.EXPIRED}, 0),
            ({"since": now - hour, "until": now + hour}, 2),
            ({"since": now + hour}, 0),
        ):
            assert (await client.history(**fields)).total == total, fields
        page = await client.history(limit=1)
        rest = await client.history(limit=1, cursor=page.next)
        assert {found.id for answer in (page, rest) for found in answer.sessions} == set(ids)


def test_file_that_can_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an empty history."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "greenroom").mkdir()
    (tmp_path / "greenroom" / "history.sqlite3").write_bytes(b"\xa5" * 4096)
    result = invoke()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The history can't be read: file is not a database" in result.stderr


def test_time_is_absolute_or_ago() -> None:
    """Local time unless it has an offset."""
    assert parse_time("2h", NOON) == NOON - timedelta(hours=2)
    assert parse_time("30 m", NOON) == NOON - timedelta(minutes=30)
    assert parse_time("2026-11-27T14:00+02:00", datetime.now(UTC)) == NOON
    assert parse_time("2026-11-27T12:00", NOON) == datetime(2026, 11, 27, 12).astimezone()  # local


ANSWER = HistoryAnswer.of(
    Page(sessions=(attrs.evolve(FULL, profile="a\x1b[2J[b]"), ended(creation_ms=None)), after=Position(1, 2)),
    Summary(
        total=7,
        outcomes=dict.fromkeys(Outcome, 0) | {Outcome.SERVED: 6, Outcome.BROKEN: 1},
        creation_ms=Percentiles(count=6, p50=1000, p90=2000, p99=2500),
        phase_ms={
            "launching": Percentiles(count=6, p50=500, p90=1500, p99=2000),
            "live": Percentiles(count=6, p50=300_000, p90=300_000, p99=300_000),
        },
    ),
    {"full"},
    "the disk is full",
)


def shown(console: Console, file: io.StringIO) -> str:
    show_history(ANSWER, "a file", console)
    return file.getvalue()


def test_tables_are_plain_without_a_terminal() -> None:
    """Whole lines without colours, bars or control characters."""
    file = io.StringIO()
    text = shown(make_console(file), file)
    assert "\x1b" not in text
    assert re.search(r"full +a \[2J\[b\] +broken +browser_lost \(BrowserLost\), left: clone, bundle", text)
    assert re.search(r"served +expired +- +9\.15 s +356\.\d MB", text)
    assert re.search(r"creation +6 +1\.00 s +2\.00 s +2\.50 s\n", text)
    assert re.search(r"live +6 +300\.00 s +300\.00 s +300\.00 s\n", text)
    assert "7 sessions have ended: 6 served, 1 broken (from a file)\n" in text
    assert f"There are more: --cursor {Position(1, 2).encode()}\n" in text
    assert "The latest may be missing: the disk is full\n" in text
    assert "█" not in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_terminal_gets_bars_if_it_can_show_them(encoding: str) -> None:
    """Of the phases that the machine decides, on one scale: the longest p50 is the whole width."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show_history(ANSWER, "a file", Console(file=file, force_terminal=True, color_system=None, width=200))
    file.flush()
    text = raw.getvalue().decode(encoding)
    bars = [line.count("█") for line in text.splitlines() if "█" in line]
    assert bars == ([30, 15] if encoding == "utf-8" else [])
