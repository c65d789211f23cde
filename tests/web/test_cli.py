"""The `greenroom` command: what it prints, where, and its exit codes.

Commands that end by themselves run in this process, by `invoke`. A process of its own, which takes a second
to start, is for what needs one: signals, limits, real streams, and `serve`, which sets up the whole process.
"""

import importlib.metadata
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

import httpx
import pytest
import structlog
import trio
from click.testing import CliRunner, Result

from greenroom.actors.browser.cells.environment import IDENTITY_FILE
from greenroom.actors.browser.engines import EngineChoice
from greenroom.actors.profile.copy import NOT_CLONED
from greenroom.actors.profile.generations import open_writing
from greenroom.web.cli import LOG_FORMATS, LOG_LEVELS, main
from greenroom.web.commands.demo import Report
from greenroom.web.options import ENGINES
from greenroom.web.practice import open_practice_site
from greenroom.web.settings.choices import LogFormat, LogLevel
from tests.actors.profile.logins import keep_login
from tests.actors.profile.profile_trees import locked_by_other_process, make_profile, snapshot
from tests.patience import patience

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
PATIENCE_S = patience(20)
SOON_S = patience(3.0)
FREE = ("--bind", "127.0.0.1:0")

OPTIONS = {
    "serve": [
        *("--bind", "--url", "--user-data-dir", "--engine", "--headless / --no-headless", "--config"),
        *("--log-level", "--log-format", "--check"),
    ],
    "practice": ["--bind"],
    "login": [
        *("--url", "--user-data-dir", "--engine", "--config", "--daemon", "--live", "--headless", "--timeout")
    ],
    "import": ["--profile", "--url", "--user-data-dir", "--engine", "--config", "--daemon", "--all"],
    "export": ["--profile", "--url", "--user-data-dir", "--engine", "--config", "--daemon", "--all"],
    "doctor": ["--url", "--user-data-dir", "--engine", "--config", "--launch / --no-launch", "--json"],
    "demo": ["--engine"],
    "history": [
        *(
            "--id",
            "--outcome",
            "--reason",
            "--profile",
            "--since",
            "--until",
            "--limit",
            "--cursor",
            "--json",
        ),
        *("--url", "--config"),
    ],
    "install-browser": [],
    "leaks": ["--url", "--config"],
    "openapi": ["--output"],
    "profile": ["--url", "--user-data-dir", "--config"],
    "session": ["--url", "--config"],
    "status": ["--url", "--config", "--watch", "--json"],
    "mcp": ["--url", "--config"],
    "completion": [],
    "verdict": ["--json", "--show-viewer"],
}


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands in an empty directory, with an empty cache and no settings from outside."""
    for name in list(os.environ):
        if name.startswith("GREENROOM_") or name in {"CAMOUFOX_USER_DATA_DIR", "DISPLAY", "WAYLAND_DISPLAY"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _logging_undone() -> Iterator[None]:
    """Undo how commands that run in this process configure logging."""
    root, ours = logging.getLogger(), logging.getLogger("greenroom")
    handlers, levels, config = root.handlers[:], (root.level, ours.level), structlog.get_config()
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    for logger, level in zip((root, ours), levels, strict=True):
        logger.setLevel(level)


def greenroom(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own. No command may ever print a traceback."""
    done = subprocess.run(
        [GREENROOM, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={**os.environ, **env},
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def invoke(*args: str, **env: str) -> Result:
    """Run the command in this process. No command may ever raise an exception."""
    result = CliRunner().invoke(main, args, env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def limited(command: str) -> "subprocess.CompletedProcess[str]":
    """Run `serve` under a limit until it ends."""
    return subprocess.run(
        ["sh", "-c", f"{command} && exec {GREENROOM} serve {' '.join(FREE)}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


@contextmanager
def running(
    *args: str, last: str, program: str | None = GREENROOM
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """Run a command that serves; yield it and its output, by subject, up to the line about `last`."""
    process = subprocess.Popen(
        [program, *args] if program else args,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said: dict[str, str] = {}
        while last not in said:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            subject, *value = re.split(r"  +", line.rstrip("\n"), maxsplit=1)
            said[subject] = "".join(value)
        yield process, said
    finally:
        process.kill()
        process.communicate()


def stop(process: "subprocess.Popen[str]", *numbers: signal.Signals) -> tuple[int, str]:
    """Send signals, one right after the other; return the exit code and the log."""
    for number in numbers:
        process.send_signal(number)
    _out, err = process.communicate(timeout=SOON_S)
    assert "Traceback" not in err
    return process.returncode, err


@contextmanager
def practising() -> Iterator[str]:
    """Serve a practice site in a thread, for a command that runs in this one; yield its base URL."""
    served: SimpleQueue[tuple[str, trio.Event, trio.lowlevel.TrioToken]] = SimpleQueue()

    async def serve() -> None:
        over = trio.Event()
        async with open_practice_site() as url:
            served.put((url, over, trio.lowlevel.current_trio_token()))
            await over.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    url, over, token = served.get(timeout=PATIENCE_S)
    try:
        yield url
    finally:
        trio.from_thread.run_sync(over.set, trio_token=token)
        thread.join()


@contextmanager
def taken_port() -> Iterator[str]:
    """Listen on a port for the length of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def answers(url: str) -> bool:
    """Return whether a server answers soon."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(httpx.ConnectError):
            return httpx.get(url, trust_env=False).status_code == 200
        time.sleep(0.05)
    return False


# Help and version.


def test_help_lists_every_command_and_option() -> None:
    """Each command's help fits a terminal, says what it does, and lists its options."""
    pages = {
        command: CliRunner().invoke(main, [command, "--help"], prog_name="greenroom").stdout
        for command in OPTIONS
    }
    overview = greenroom("--help").stdout
    for command, options in OPTIONS.items():
        assert re.search(rf"^  {command} +[A-Z].*\.$", overview, re.MULTILINE)
        assert f"Usage: greenroom {command} [OPTIONS]" in pages[command]
        for option in options:
            assert f"  {option} " in pages[command]
    for page in (overview, *pages.values()):
        assert not re.search(r"\w\.\.\.$", page, re.MULTILINE)  # no description is cut off
    assert max(len(line) for page in [overview, *pages.values()] for line in page.splitlines()) <= 80


def test_version_is_the_packages() -> None:
    """The version is that of the installed package, on standard output."""
    done = greenroom("--version")
    assert (done.returncode, done.stdout) == (
        0,
        f"greenroom, version {importlib.metadata.version('greenroom')}\n",
    )


def test_verdict_starts_without_the_daemons_modules(tmp_path: Path) -> None:
    """Modules that take half a second to import are only imported by the commands that need them."""
    page = tmp_path / "page.html"
    page.write_text("<html>")
    program = (
        "import sys, greenroom.web.cli\n"
        "try: greenroom.web.cli.main(['verdict', 'page.html'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("UNCERTAIN")
    modules = set(done.stdout.split())
    assert "greenroom.actors.verdict" in modules
    assert modules.isdisjoint(
        {"trio", "quart", "hypercorn", "structlog", "greenroom.supervisor", "playwright"}
    )


def test_engines_are_those_that_the_settings_know() -> None:
    """The command line lists them without importing the settings."""
    assert [choice.value for choice in EngineChoice] == list(ENGINES)
    assert [choice.value for choice in LogLevel] == list(LOG_LEVELS)
    assert [choice.value for choice in LogFormat] == list(LOG_FORMATS)


# Invalid settings.


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_wrong_setting_exits_2_and_names_setting_value_and_allowed_values(
    tmp_path: Path, source: str
) -> None:
    """The message is one line and says where the value comes from."""
    if source == "flag":
        ran = greenroom("serve", "--bind", "nowhere")
        code, out, err, origin = ran.returncode, ran.stdout, ran.stderr, "the command line"
    else:
        config = tmp_path / "greenroom.toml"
        config.write_text('[greenroom]\nbind = "nowhere"\n')
        done = (
            invoke("doctor", GREENROOM_BIND="nowhere")
            if source == "environment"
            else invoke("doctor", "--config", str(config))
        )
        code, out, err = done.exit_code, done.stdout, done.stderr
        origin = "GREENROOM_BIND" if source == "environment" else str(config)
    assert (code, out) == (2, "")
    assert err == (
        f"greenroom: bind is 'nowhere' (from {origin}), "
        "must be HOST:PORT or [IPv6]:PORT, the port from 0 to 65535, or unix:/PATH\n"
    )


def test_wrong_settings_are_all_reported_at_once() -> None:
    """Several mistakes give several lines. No secret is shown."""
    done = invoke(
        "doctor", "--no-launch", GREENROOM_MAX_SESSIONS="0", GREENROOM_TOKEN="short", GREENROOM_MAX_SESION="1"
    )
    assert done.exit_code == 2
    assert all(line.startswith("greenroom: ") for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) == 3
    assert "max_sessions is 0" in done.stderr or "max_sessions is '0'" in done.stderr
    assert "did you mean GREENROOM_MAX_SESSIONS?" in done.stderr
    assert "short" not in done.stderr


def test_taken_port_exits_1_and_says_so() -> None:
    """An address that is in use gives one line, without the system's error number."""
    with taken_port() as bind:
        serve = greenroom("serve", "--bind", bind)
        practice = invoke("practice", "--bind", bind)
    told = f"greenroom: Can't listen on '{bind}': Address already in use\n"
    assert (serve.returncode, serve.stdout, serve.stderr) == (1, "", told)
    assert (practice.exit_code, practice.stdout, practice.stderr) == (1, "", told)


def test_no_browser_exits_1_and_names_the_command_that_installs_one(tmp_path: Path) -> None:
    """On a machine without a browser, the message says how to install one."""
    done = greenroom("serve", *FREE, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "greenroom: Camoufox or Firefox is not installed: run `greenroom install-browser`\n"
    )


# serve and practice.


# test_signals shows that SIGQUIT is handled like these two.
@pytest.mark.parametrize(
    "numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGINT]], ids=["int", "impatient"]
)
def test_serve_says_what_it_serves_and_signals_end_it_with_0(
    tmp_path: Path, numbers: list[signal.Signals]
) -> None:
    """The daemon prints its address, answers there, and stops at once, even if several signals come.

    What it says of its own state is true from the start: without a profile, it is not ready.
    """
    settings = ("--url", "https://example.test/", "--user-data-dir", "profile", "--engine", "firefox")
    with running("serve", *FREE, *settings, last="address") as (process, said):
        assert said.pop("engine").startswith("firefox ")
        assert said.pop("sandbox") in {"bubblewrap", "none"}
        address = said.pop("address")
        assert said == {
            "master profile": str(tmp_path / "profile"),
            "site": "https://example.test/",
        }
        assert httpx.get(f"{address}/health", trust_env=False).json()["status"] == "ok"
        ready = httpx.get(f"{address}/ready", trust_env=False)
        assert (ready.status_code, ready.json()["error_details"]["code"]) == (503, "NOT_READY")
        metrics = httpx.get(f"{address}/metrics", trust_env=False).text
        assert 'greenroom_info{engine="firefox"' in metrics
        code, err = stop(process, *numbers)
    assert code == 0
    assert "stealth is off" in err
    assert f'"signal": "{numbers[0].name}"' in err
    assert '"event": "stopped"' in err


def test_serve_reads_its_tokens_again_at_a_hang_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the file then holds. A file with a mistake changes nothing, and the log says what it is."""
    tokens = tmp_path / "tokens.toml"
    monkeypatch.setenv("GREENROOM_TOKENS_FILE", str(tokens))

    def write(name: str, scope: str) -> None:
        tokens.write_text(f'[{name}]\ntoken = "secret-of-{name}-and-more"\nscope = "{scope}"\n')

    def name_of(name: str) -> str | None:
        headers = {"Authorization": f"Bearer secret-of-{name}-and-more"}
        answer = httpx.get(f"{address}/whoami", headers=headers, trust_env=False)
        return str(answer.json()["name"]) if answer.status_code == 200 else None

    write("one", "read")
    tokens.chmod(0o600)
    with running("serve", *FREE, "--engine", "firefox", last="address") as (process, said):
        address = said["address"]
        assert (name_of("one"), name_of("two")) == ("one", None)
        write("two", "control")
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_S
        while name_of("two") is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert name_of("two") == "two"
        assert name_of("one") is None
        write("three", "everything")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("the tokens stay as they were" in line for line in process.stderr)
        assert name_of("two") == "two"
        code, _err = stop(process, signal.SIGTERM)
    assert code == 0


def test_serve_with_tokens_that_can_not_be_used_exits_2_and_says_why(tmp_path: Path) -> None:
    """A daemon that went on without them would let everybody in."""
    done = greenroom("serve", *FREE, GREENROOM_TOKENS_FILE=str(tmp_path / "none.toml"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "tokens_file" in done.stderr
    assert "can't be read: No such file or directory" in done.stderr


def test_serve_with_windows_and_no_display_exits_1_and_says_what_to_do() -> None:
    """A problem that every session would have is reported at start, as `login` reports it."""
    done = greenroom("serve", *FREE, "--engine", "firefox", "--no-headless", DISPLAY=":6100")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "greenroom: There is no display to show a browser on: nothing answers at DISPLAY=':6100' ("
    )


def test_serve_with_too_few_files_allowed_exits_1_and_says_how_many_are_needed() -> None:
    """A limit too low for any browser is reported at start, with the command that raises it."""
    done = limited("ulimit -n 128")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "greenroom: There is no room for max_sessions=10: a process may open 128 files, 512 are needed "
        "(raise the hard limit (ulimit -Hn, "
    )


def test_serve_raises_its_limit_of_files() -> None:
    """A low soft limit is no reason to refuse, since the daemon can raise it to the hard one."""
    with running(
        "-c", f"ulimit -Sn 128 && exec {GREENROOM} serve {' '.join(FREE)}", last="address", program="sh"
    ) as (
        process,
        _said,
    ):
        files = re.search(r"Max open files +(\d+)", Path(f"/proc/{process.pid}/limits").read_text())
        assert files is not None
        assert int(files[1]) > 128
        code, err = stop(process, signal.SIGTERM)
    assert code == 0
    assert ("running as root" in err) == (os.getuid() == 0)


def test_serve_ignores_signals_that_mean_nothing_and_a_hang_up_under_nohup() -> None:
    """A stray SIGUSR1, or a terminal that closes after `nohup`, doesn't end the daemon."""
    with running("nohup", GREENROOM, "serve", *FREE, "--engine", "firefox", program=None, last="address") as (
        process,
        said,
    ):
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            process.send_signal(number)
        assert httpx.get(f"{said['address']}/health", trust_env=False).status_code == 200
        code, err = stop(process, signal.SIGTERM)
    assert code == 0
    assert "SIGHUP" not in err
    assert '"signal": "SIGTERM"' in err


def test_serve_with_output_that_nobody_reads_answers_and_stops() -> None:
    """Full pipes delay neither the daemon's start, nor a request, nor its end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    command = [GREENROOM, "serve", "--bind", bind, "--engine", "firefox", "--verbose"]
    with subprocess.Popen(command, stdout=writer, stderr=writer) as process:
        try:
            assert answers(f"http://{bind}/health")
            assert httpx.post(f"http://{bind}/tiktok/session", trust_env=False).status_code == 409
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    for end in (reader, writer):
        os.close(end)


def test_practice_serves_until_a_signal_ends_it_with_0() -> None:
    """The practice site prints its address, answers there, and stops at once and in silence."""
    with running("practice", *FREE, last="all its pages") as (process, said):
        assert said["all its pages"] == f"{said['practice site']}practice"
        for url in said.values():
            assert httpx.get(url, trust_env=False).status_code == 200
        assert stop(process, signal.SIGINT) == (0, "")


# doctor.


def test_doctor_with_a_missing_profile_exits_1_and_names_login() -> None:
    """A failure names the command that fixes it. Lines are not broken."""
    done = invoke("doctor", "--no-launch", "--user-data-dir", "[bold]none[/nope]")
    assert (done.exit_code, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines == [line.rstrip() for line in lines]
    failing = lines.index("fails    master profile  [bold]none[/nope] does not exist")
    assert lines[failing + 1].split() == ["->", "greenroom", "login"]


def test_doctor_with_everything_there_exits_0(tmp_path: Path) -> None:
    """Warnings are not failures. Other programs can ask for JSON."""
    expires_at = datetime.now(UTC) + timedelta(days=30)
    keep_login(make_profile(tmp_path / "user_data"), host="127.0.0.1", expires_at=expires_at)
    with practising() as site:
        args = ("doctor", "--no-launch", "--url", f"{site}/")
        done = invoke(*args, GREENROOM_BIND="127.0.0.1:0")
        assert (done.exit_code, done.stderr) == (0, "")
        names = "python|engine|sandbox|master profile|clones|memory|pids|port|site"
        subjects = re.findall(rf"^(?:ok|warning) +({names}) ", done.stdout, re.MULTILINE)
        assert subjects == names.split("|")
        assert "fails" not in done.stdout
        as_json = json.loads(invoke(*args, "--json", GREENROOM_BIND="127.0.0.1:0").stdout)
    assert as_json["ok"] is True
    assert [finding["found"] for finding in as_json["findings"] if finding["subject"] == "site"] == [
        f"{site}/ answers with HTTP 200"
    ]


# login.


def test_login_on_a_profile_in_use_exits_1_and_writes_nothing(tmp_path: Path) -> None:
    """A profile that is open in a browser is left alone."""
    profile = make_profile(tmp_path / "user_data")
    with locked_by_other_process(profile):
        before = snapshot(profile)
        done = invoke("login", "--headless", "--engine", "firefox")
        assert snapshot(profile) == before
    assert (done.exit_code, done.stdout) == (1, "Opening firefox on a copy of the master profile ...\n")
    locked = r"greenroom: User data directory is locked by another process \(by .+, process \d+\)\n"
    assert re.fullmatch(locked, done.stderr)


@pytest.mark.browser
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_login_stopped_by_a_signal_cleans_up_and_exits_as_a_shell_expects(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An interrupted login is not a crash: one line, the signal's exit code, no temporary files."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    args = ("login", "--headless", "--engine", "firefox", "--url", "http://127.0.0.1:1/")
    with running(*args, last="Opening firefox on a copy of the master profile ...") as (process, _said):
        assert stop(process, number) == (128 + number, "greenroom: stopped\n")
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "user_data").exists()


@pytest.mark.browser
def test_login_that_is_killed_leaves_the_profile_as_it_was(tmp_path: Path) -> None:
    """Its browser ran on a copy, which the next login removes."""
    profile = make_profile(tmp_path / "user_data")
    before = snapshot(profile)
    with running("practice", *FREE, last="all its pages") as (_site, where):
        args = ("login", "--headless", "--engine", "firefox", "--url", where["practice site"])
        with running(*args, last="Waiting until the page shows a login.") as (process, _said):
            process.kill()
            process.wait()
    assert snapshot(profile) == before
    left = tmp_path / "user_data.generations"
    assert [path.name for path in left.iterdir()] == ["2.new"]
    assert "Removed: none" in greenroom("profile", "prune").stdout
    assert list(left.iterdir()) == []
    assert snapshot(profile) == before


def test_profile_shows_its_generations_and_goes_back(tmp_path: Path) -> None:
    """With its login, and who uses it; each command says what it did."""

    def failed(*args: str) -> Result:
        result = invoke(*args)
        assert result.exit_code == 1
        return result

    missing = "The master profile is missing: run `greenroom login` to create one and log in"
    for command in ("show", "check", "history", "rollback", "prune"):
        assert missing in failed("profile", command).stderr
    profile = make_profile(tmp_path / "user_data")
    (profile / "cookies.sqlite").unlink()
    (profile / "storage" / "default" / "data.sqlite").unlink()
    for content in ("second", "third"):
        with open_writing(profile, "greenroom login") as writing:
            (writing.new / "prefs.js").write_text(content)
            writing.commit()
    shown = invoke("profile", "show").stdout
    assert re.search(r"generation +3, .* UTC, by greenroom login", shown)
    assert re.search(r"in use +no", shown)
    checked = failed("profile", "check").stdout
    assert "There is no login at www.tiktok.com: run `greenroom login`." in checked
    lines = invoke("profile", "history").stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == ["3", "2", "1"]
    assert [line.endswith(", current") for line in lines] == [True, False, False]
    assert "Current is generation 2" in invoke("profile", "rollback").stdout
    assert (profile / "prefs.js").read_text() == "second"
    assert "There are: 1, 3" in failed("profile", "rollback", "7").stderr
    with open_writing(profile, "somebody"):
        assert "locked" in failed("profile", "rollback").stderr
        assert re.search(r"in use +by somebody, process \d+", invoke("profile", "show").stdout)
    assert "Removed: 3, 1." in invoke("profile", "prune").stdout


@pytest.mark.parametrize(
    "command",
    [
        ("login", "--daemon", "http://127.0.0.1:9", "--headless"),
        ("login", "--daemon", "http://127.0.0.1:9", "--engine", "firefox"),
        ("import", "cookies.txt", "--daemon", "http://127.0.0.1:9", "--user-data-dir", "x"),
        ("export", "state.json", "--daemon", "http://127.0.0.1:9", "--engine", "firefox"),
        ("login", "--daemon", "http://127.0.0.1:9", "--url", "http://127.0.0.1:9/"),
    ],
    ids=" ".join,
)
def test_daemon_can_not_be_told_how_to_run(command: tuple[str, ...]) -> None:
    """It would use the profile, the engine and the site that it has."""
    refused = invoke(*command)
    assert (refused.exit_code, "With --daemon, its browsers run as it does" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        ("login", "../x"),
        ("import", "cookies.txt", "--profile", "X"),
        ("profile", "new", "a.b"),
        ("profile", "delete", ".."),
        ("profile", "show", "--profile", ""),
        ("session", "new", "--profile", "a/b"),
    ],
    ids=" ".join,
)
def test_name_that_no_profile_can_have_is_a_wrong_option(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Nothing is begun."""
    refused = invoke(*command)
    assert (refused.exit_code, "A profile's name has 1 to 32" in refused.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_profile_gets_another_identity(tmp_path: Path) -> None:
    """By a new generation without the old one, so that can be undone."""
    profile = make_profile(tmp_path / "user_data")
    (profile / "cookies.sqlite").unlink()
    (profile / "storage" / "default" / "data.sqlite").unlink()
    assert "has no identity" in invoke("profile", "new-identity").stdout
    assert re.search(r"identity +another for each session", invoke("profile", "show").stdout)
    (profile / IDENTITY_FILE).write_text("{}")
    assert re.search(r"identity +its own$", invoke("profile", "show").stdout, re.MULTILINE)
    (profile / IDENTITY_FILE).write_text('{"place": {"timezone": "Europe/Berlin"}}')
    assert "its own, with the time zone Europe/Berlin" in invoke("profile", "show").stdout
    others = {path.name for path in profile.iterdir()} - {IDENTITY_FILE}
    assert "Saved as generation 2." in invoke("profile", "new-identity").stdout
    assert not (profile / IDENTITY_FILE).exists()
    assert others - {path.name for path in profile.iterdir()} <= NOT_CLONED
    assert "Current is generation 1" in invoke("profile", "rollback").stdout
    assert (profile / IDENTITY_FILE).exists()


def test_named_profiles_are_made_listed_and_deleted(tmp_path: Path) -> None:
    """Each has its own login. To delete one asks first; the default one is the user's."""
    in_9_days, long_ago = datetime.now(UTC) + timedelta(days=9), datetime(2020, 1, 1, tzinfo=UTC)
    keep_login(make_profile(tmp_path / "user_data"), host="www.tiktok.com", expires_at=in_9_days)
    made = invoke("profile", "new", "shop")
    shop = tmp_path / "user_data.profiles" / "shop"
    assert (made.stdout, shop.is_dir()) == (f"Made {shop}. Log in to it with `greenroom login shop`.\n", True)
    (shop / "prefs.js").touch()
    keep_login(shop, host="www.tiktok.com", expires_at=long_ago)
    first, second = invoke("profile", "list").stdout.splitlines()
    assert re.fullmatch(rf"default +sessionid, until .* UTC at most +{tmp_path}/user_data", first)
    assert re.fullmatch(rf"shop +sessionid, until 2020-01-01 .* +{shop}", second)
    checked = invoke("profile", "check", "--profile", "shop")
    assert (checked.exit_code, "has expired" in checked.stdout) == (1, True)
    assert "run `greenroom login shop`" in checked.stdout
    assert CliRunner().invoke(main, ["profile", "delete", "shop"], input="n\n").exit_code == 1
    assert shop.exists()
    assert invoke("profile", "delete", "shop", "--yes").stdout == "Deleted shop.\n"
    assert list(shop.parent.iterdir()) == []
    for args, said in (
        (("show", "--profile", "shop"), "There is no profile 'shop'"),
        (("delete", "default", "--yes"), "remove its directory yourself"),
        (("new", "default"), "There is a profile 'default' already"),
    ):
        refused = invoke("profile", *args)
        assert (refused.exit_code, said in refused.stderr) == (1, True), args


# The demo's table.


def test_demo_report_holds_only_if_all_of_it_does() -> None:
    """A single unexpected outcome is shown and makes the whole report fail."""
    report = Report()
    report.add("case", "200", "200", seconds=1.234)
    assert report.holds
    report.add("case", "200", "500 INTERNAL_ERROR")
    assert not report.holds
