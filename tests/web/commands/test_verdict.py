"""`greenroom verdict` on files, addresses and standard input."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trio
from click.testing import CliRunner, Result

from greenroom.web.cli import main
from greenroom.web.commands.verdict import MAX_PAGE_BYTES
from greenroom.web.practice import open_practice_site
from greenroom.web.practice.pages import INVENTED_VIEWER, Era, Kind, Page, State, render
from tests.actors.verdict.builders import NOBODY, SOMEBODY, UNIVERSAL, script
from tests.patience import patience

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
IN = script(UNIVERSAL, SOMEBODY)
OUT = script(UNIVERSAL, NOBODY)
UNCERTAIN = "<title>Security Check</title>"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    for name, page in (("in.html", IN), ("out.html", OUT), ("check.html", UNCERTAIN)):
        (tmp_path / name).write_text(page)


def verdict(*args: str, given: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["verdict", *args], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("in.html", 0, ["LOGGED_IN", "viewer_object", "structure", "webapp.app-context.user"]),
        ("out.html", 1, ["LOGGED_OUT", "no viewer object", "absence"]),
        ("check.html", 2, ["UNCERTAIN", "challenge", "title"]),
    ],
)
def test_page_is_shown_with_its_evidence(name: str, code: int, said: list[str]) -> None:
    """The output has the state, the reason and a table of evidence. The exit code shows the state."""
    result = verdict(name)
    assert result.exit_code == code
    assert all(words in result.stdout for words in said)
    assert result.stderr == ""


def test_json_is_for_programs() -> None:
    """One object with all the evidence and without the viewer."""
    result = verdict("--json", "in.html")
    shown = json.loads(result.stdout)
    assert result.exit_code == 0
    assert shown.pop("elapsed_ms") >= 0
    assert shown == {
        "source": "in.html",
        "bytes": len(IN),
        "state": "LOGGED_IN",
        "reason": "viewer_object",
        "gate": None,
        "status": None,
        "method": "html_content_analysis",
        "evidence": [
            {
                "rule": "viewer object",
                "place": "__UNIVERSAL_DATA_FOR_REHYDRATION__: __DEFAULT_SCOPE__.webapp.app-context.user",
                "points_to": "LOGGED_IN",
                "strength": "structure",
                "reason": "viewer_object",
                "count": 1,
            }
        ],
    }


@pytest.mark.parametrize("args", [["in.html"], ["--json", "in.html"], ["in.html", "out.html"]])
def test_viewer_is_named_only_when_asked_for(args: list[str]) -> None:
    """By default no handle gets into a log."""
    assert "quiet.heron" not in verdict(*args).output
    assert "quiet.heron" in verdict("--show-viewer", *args).stdout


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["in.html", "in.html"], 0),
        (["in.html", "out.html"], 1),
        (["in.html", "check.html", "out.html"], 2),
        (["check.html", "missing.html", "in.html"], 3),
    ],
)
def test_several_pages_get_a_line_each_and_a_total(names: list[str], code: int) -> None:
    """The exit code is the highest one. A file that can't be read doesn't stop the rest."""
    result = verdict(*names)
    lines = result.stdout.splitlines()
    there = [name for name in names if name != "missing.html"]
    assert result.exit_code == code
    assert [line.split()[-1] for line in lines[:-1]] == there
    assert lines[-1].startswith(f"{len(names)} pages: {there.count('in.html')} LOGGED_IN, ")
    assert ("1 unreadable" in lines[-1]) == (len(there) < len(names))
    assert [json.loads(line)["source"] for line in verdict("--json", *names).stdout.splitlines()] == there


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("missing.html", "No such file"),
        (".", "directory"),
        ("http://127.0.0.1:9/", "refused"),
        ("http://", "missing"),
        ("http://[", ""),
        ("http://greenroom.invalid/", ""),
        ("a\0b", "not a file's name"),
        ("x" * 300, "too long"),
        ("/dev/zero", "more than 64 MB"),
    ],
)
def test_unreadable_sources_are_reported(source: str, why: str) -> None:
    """Each is one line on standard error. The exit code is a separate one."""
    result = verdict(source)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("greenroom: ")
    assert why.lower() in result.stderr.lower()
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("args", [[], ["--nonsense", "in.html"]])
def test_wrong_usage_is_no_verdict(args: list[str]) -> None:
    """The exit code differs from that of an uncertain page."""
    assert verdict(*args).exit_code == 4


def test_interrupted_command_is_no_verdict() -> None:
    """Ctrl-C comes while the command waits for its page."""
    # If the tests run in the background, SIGINT is ignored, and the command would inherit that.
    command = ["env", "--default-signal=INT", GREENROOM, "verdict", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"x" * 200_000)  # more than a pipe holds, so the command is reading by then
        process.stdin.flush()
        asleep = Path(f"/proc/{process.pid}/wchan")
        give_up = time.monotonic() + patience(5)
        while "pipe_read" not in asleep.read_text() and time.monotonic() < give_up:
            pass  # between two reads Python would notice the signal later
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=patience(10))
        finally:
            process.kill()
    assert (process.returncode, said) == (130, b"greenroom: stopped\n")


def test_exit_codes_are_in_the_help() -> None:
    """Scripts need them."""
    said = " ".join(verdict("--help").stdout.split())
    assert "Exit code 0 if logged in, 1 if logged out, 2 if uncertain, 3 if there is no page to read" in said


def test_names_and_pages_can_not_control_the_terminal(tmp_path: Path) -> None:
    """Neither a file's name nor its content reaches the terminal as control characters or markup."""
    name = "a\x1b]0;owned\x07[red]b.html"
    (tmp_path / name).write_text(IN.replace("quiet.heron", "\x1b[31mheron"))
    for args in ([name], [name, "out.html"], [f"missing{name}"], ["--json", name], ["--show-viewer", name]):
        output = verdict(*args).output
        assert "\x1b" not in output
        assert "\x07" not in output
    assert "[red]b.html" in verdict(name, "out.html").stdout


class _Site(BaseHTTPRequestHandler):
    """Answers for several sites at once, by path."""

    cookies: list[str | None] = []  # noqa: RUF012  # one list for all requests on purpose

    def do_GET(self) -> None:
        self.cookies.append(self.headers["Cookie"])
        port = str(self.headers["Host"]).partition(":")[2]
        to = {"/away": f"http://localhost:{port}/in", "/round": "/in"}.get(self.path)
        body = b"x" * (MAX_PAGE_BYTES + 1) if self.path == "/bomb" else IN.encode()
        self.send_response(302 if to else 200)
        self.send_header("Set-Cookie", "ttwid=1; Path=/")
        if to:
            self.send_header("Location", to)
            body = b""
        if self.path == "/bomb":
            self.send_header("Content-Encoding", "gzip")
            body = gzip.compress(body, 1)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base's
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        _Site.cookies.clear()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_address_is_fetched_without_cookies(site: str) -> None:
    """Redirects are followed. A cookie set on the way is not sent on."""
    assert verdict(f"{site}/round", f"{site}/in").exit_code == 0
    assert _Site.cookies == [None, None, None]


def test_redirect_to_another_site_is_not_judged(site: str) -> None:
    """A login on another site doesn't matter."""
    result = verdict(f"{site}/away")
    assert result.exit_code == 2
    assert "not_tiktok" in result.stdout


def test_page_that_unpacks_to_too_much_is_refused(site: str) -> None:
    """The size in memory counts."""
    assert "more than 64 MB" in verdict(f"{site}/bomb").stderr


def test_command_reads_standard_input() -> None:
    """The real command reads a pipe."""
    page = render(Page(State.LOGGED_IN, Era.UNIVERSAL, Kind.HOME))
    done = subprocess.run(
        [GREENROOM, "verdict", "-", "--show-viewer"],
        input=page,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(30),
        env={**os.environ, "COLUMNS": "200"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert INVENTED_VIEWER.handle in done.stdout


async def test_practice_site_is_judged_by_its_address() -> None:
    """The pages are somebody's, nobody's, and a challenge."""
    async with open_practice_site() as url:
        for page, code in (
            (Page(State.LOGGED_IN, Era.SIGI, Kind.LIVE), 0),
            (Page(State.LOGGED_OUT, Era.UNIVERSAL, Kind.STUDIO), 1),
            (Page(State.CHALLENGE, Era.UNIVERSAL, Kind.OVERLAY), 2),
        ):
            result = await trio.to_thread.run_sync(verdict, f"{url}/page?{page.query}")
            assert result.exit_code == code


def test_verdict_on_files_imports_little() -> None:
    """Slow imports are left to addresses, tables and the daemon."""
    heavy = "{'httpx', 'rich', 'trio', 'quart', 'email.parser', 'asyncio'}"
    check = f"import sys, greenroom.web.commands.verdict; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
