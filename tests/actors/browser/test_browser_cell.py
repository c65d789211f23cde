"""What a browser sees and can do in its cell, inside its host's; a shell acts as the browser."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import psutil
import pytest

from greenroom.actors.browser.cells.binds import Private
from tests.actors.browser.cell_shell import RUN_S, SHELL, Shell, make_shell, needs_bubblewrap, noexec_mount

POLL_S = 0.01


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Return a shell in a cell."""
    return make_shell(tmp_path / "owner")


@needs_bubblewrap
def test_own_clone_is_writable(shell: Shell) -> None:
    """A browser reads its clone, and what it writes there stays."""
    assert shell.says('cd "$1" && cat cookies.sqlite && echo new > written', str(shell.clone)).endswith(
        "clone"
    )
    assert (shell.clone / "written").read_text() == "new\n"


@needs_bubblewrap
@pytest.mark.parametrize("name", ["other", "master", "home/cookies.sqlite"])
def test_what_is_not_its_own_is_not_there(shell: Shell, name: str) -> None:
    """A browser sees no other clone, no master profile, and nothing in the user's home."""
    assert (shell.folder / name).exists()
    assert not shell.sees(shell.folder / name)
    assert shell.says('ls -A "$1"', str(shell.folder)) == "artifacts\nclone\ndownloads"


@needs_bubblewrap
def test_hosts_temporary_directory_is_not_there(shell: Shell, tmp_path: Path) -> None:
    """The cell has its own /tmp: it sees nobody's files there, and leaves none."""
    marker = Path(f"/tmp/greenroom-test-{os.getpid()}")
    marker.write_text("outside")
    try:
        assert not shell.sees(marker)
        assert shell.says('echo inside > "$1" && cat "$1"', f"{marker}-2") == "inside"
        assert not Path(f"{marker}-2").exists()
        assert shell.says('echo "$TMPDIR"') == "/tmp"
    finally:
        marker.unlink()


@needs_bubblewrap
@pytest.mark.parametrize("directory", ["/usr", "/etc", "/usr/bin", "/sys", "/", "/etc/fonts"])
def test_system_is_read_only(shell: Shell, directory: str) -> None:
    """Not even root can change programs and settings from inside."""
    target = f"{directory}/greenroom-test"
    done = shell.run('echo x > "$1"', target)
    assert done.returncode != 0
    assert not Path(target).exists()


@needs_bubblewrap
def test_home_is_empty_and_its_changes_are_lost(shell: Shell) -> None:
    """A browser may write to its home, which is removed with it."""
    assert shell.says('ls -A "$HOME" | wc -l; echo x > "$HOME/file"; cat "$HOME/file"').split() == ["0", "x"]
    assert [path.name for path in (shell.folder / "home").iterdir()] == ["cookies.sqlite"]


@needs_bubblewrap
@pytest.mark.parametrize("variable", [None, "XDG_CACHE_HOME"])
def test_font_caches_are_read_only(shell: Shell, variable: str | None) -> None:
    """A browser need not reread all fonts, and can't change the user's cache of them."""
    cache = shell.folder / "home" / ("cache" if variable else ".cache")
    if variable:
        shell = attrs.evolve(shell, environ={**shell.environ, variable: str(cache)})
    (cache / "fontconfig").mkdir(parents=True)
    (cache / "fontconfig" / "known").write_text("fonts")
    assert shell.says('cat "$XDG_CACHE_HOME/fontconfig/known"') == "fonts"
    assert shell.run('echo x > "$XDG_CACHE_HOME/fontconfig/new"').returncode != 0
    assert shell.says("ls /var/cache") == "fontconfig"


@needs_bubblewrap
def test_fonts_file_that_the_environment_names_is_there(shell: Shell) -> None:
    """Camoufox's package writes this file at home, under any name; without it the browser has other fonts."""
    fonts = shell.folder / "home" / "my cache" / "fonts.conf"
    fonts.parent.mkdir()
    fonts.write_text("fonts")
    assert shell.run_launcher("-c", 'cat "$1"', "sh", str(fonts)).returncode != 0
    shell = attrs.evolve(shell, environ={**shell.environ, "FONTCONFIG_FILE": str(fonts)})
    assert shell.run_launcher("-c", 'cat "$FONTCONFIG_FILE"').stdout == "fonts"
    assert shell.run_launcher("-c", 'echo x > "$FONTCONFIG_FILE"').returncode != 0
    assert shell.run_launcher("-c", "echo x > /new").returncode != 0


@needs_bubblewrap
def test_clone_below_the_home_is_there(shell: Shell) -> None:
    """Clones are usually kept in a cache at home; only the cell's own directories are visible."""
    home = shell.folder.parent
    shell = attrs.evolve(shell, environ={**shell.environ, "HOME": str(home)}, private=Private(home=home))
    assert (
        shell.says('ls -A "$1"; cat "$1/clone/cookies.sqlite"', str(shell.folder))
        == "artifacts\nclone\ndownloads\nof clone"
    )


@needs_bubblewrap
def test_processes_outside_are_not_there(shell: Shell) -> None:
    """In its own PID namespace a cell sees only itself, and can signal nobody else."""
    assert int(shell.says("ls -d /proc/[0-9]* | wc -l")) < 8
    assert shell.run("kill -0 $1", str(os.getpid())).returncode != 0


@needs_bubblewrap
def test_shared_memory_is_its_own(shell: Shell) -> None:
    """A browser shares memory among its own processes only."""
    name = f"greenroom-test-{os.getpid()}"
    assert shell.says(f"echo x > /dev/shm/{name} && cat /dev/shm/{name}") == "x"
    assert not Path("/dev/shm", name).exists()


@needs_bubblewrap
def test_clone_that_leads_out_by_a_link_does_not(shell: Shell) -> None:
    """Inside the cell, a link to the master leads nowhere."""
    (shell.clone / "link").symlink_to(shell.folder / "master")
    assert shell.run('cat "$1/link/cookies.sqlite"', str(shell.clone)).returncode != 0


HOSTILE = {
    "space": "a b  c",
    "quote": "it's",
    "double quote": 'say "hi"',
    "newline": "two\nlines",
    "command": "$(touch pwned); `touch pwned` & touch pwned #",
    "option": "--dev-bind",
    "backslash": "back\\slash\\",
    "glob": "*?[a-z]",
    "unicode": "ünïcödé\u2028",
}


@needs_bubblewrap
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_name_is_only_a_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every character in the paths of the clone and the browser is taken literally."""
    monkeypatch.chdir(tmp_path)
    shell = make_shell(tmp_path / name / "owner", clone=name)
    bundle = tmp_path / f"bundle {name}"
    bundle.mkdir()
    executable = bundle / name
    shutil.copy(SHELL.resolve(), executable)
    shell = attrs.evolve(shell, executable=executable)
    assert shell.says('cat "$1/cookies.sqlite"', str(shell.clone)) == f"of {name}".strip()
    assert not shell.sees(shell.folder / "other")
    assert not shell.sees(shell.folder / "master")
    assert list(tmp_path.rglob("pwned")) == []


@needs_bubblewrap
@pytest.mark.parametrize("argument", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_argument_arrives_as_it_is(shell: Shell, argument: str) -> None:
    """The driver's arguments reach the browser unchanged, and bubblewrap takes none as its own."""
    done = shell.run_launcher("-c", 'printf "%s|" "$@"', "sh", argument, "--bind", "")
    assert done.stdout == f"{argument}|--bind||"


def bound(shell: Shell, *, headless: bool) -> list[str]:
    """Return the paths that a cell shows read-only."""
    words = shell.cell(headless=headless)
    return [words[at + 1] for at, word in enumerate(words) if word == "--ro-bind-try"]


DISPLAYS: dict[str, tuple[dict[str, str], list[str]]] = {
    "x11": ({"XAUTHORITY": "RUN/auth"}, ["RUN/auth"]),
    "x11 at home": ({}, ["HOME/.Xauthority"]),
    "wayland": (
        {"XDG_RUNTIME_DIR": "RUN", "WAYLAND_DISPLAY": "wayland-0"},
        ["HOME/.Xauthority", "RUN/wayland-0"],
    ),
}


@needs_bubblewrap
@pytest.mark.parametrize(("environ", "paths"), DISPLAYS.values(), ids=DISPLAYS.keys())
def test_display_is_shown_to_a_visible_browser_only(
    shell: Shell, environ: dict[str, str], paths: list[str]
) -> None:
    """A browser without a window can't reach the display or its other users."""
    places = {"HOME": shell.environ["HOME"], "RUN": str(shell.folder / "run")}
    for name, value in places.items():
        environ = {key: known.replace(name, value) for key, known in environ.items()}
        paths = [path.replace(name, value) for path in paths]
    for path in paths:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    shell = attrs.evolve(shell, environ={**shell.environ, **environ})
    hidden = bound(shell, headless=True)
    shown = [path for path in bound(shell, headless=False) if path not in hidden]
    assert shown in (paths, ["/tmp/.X11-unix", *paths])


@needs_bubblewrap
def test_display_that_is_not_there_is_left_out(shell: Shell) -> None:
    """A visible browser's cell also runs on a machine without a display."""
    assert shell.run("exit 7", headless=False).returncode == 7


@needs_bubblewrap
def test_display_at_home_is_seen_by_a_visible_browser(shell: Shell) -> None:
    """The display's files in the user's home are visible, although the rest of the home is not."""
    cookie = shell.folder / "home" / ".Xauthority"
    cookie.write_text("magic\n")
    assert shell.run('cat "$1"', str(cookie)).returncode != 0
    done = shell.run('cat "$XAUTHORITY"; ls -A "$1"', str(cookie.parent), headless=False)
    assert done.stdout.split() == ["magic", ".Xauthority"]


@needs_bubblewrap
def test_nothing_is_executed_where_clones_are(tmp_path: Path) -> None:
    """The directories of clones and temporary files may be mounted noexec."""
    with noexec_mount(tmp_path / "noexec") as folder:
        shell = make_shell(folder / "owner")
        done = shell.run_launcher("-c", 'cat "$1/cookies.sqlite"', "sh", str(shell.clone))
        assert (done.stdout, done.stderr) == ("of clone", "")
        assert shell.says('cat "$1/cookies.sqlite"', str(shell.clone)) == "of clone"
        script = folder / "script"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o700)
        with pytest.raises(PermissionError):
            subprocess.run([str(script)], check=False)


@needs_bubblewrap
def test_pipe_reaches_the_browser(shell: Shell) -> None:
    """Camoufox is driven through descriptors 3 and 4, which pass through the launcher and the cell."""
    ours, theirs = os.pipe()
    with shell.launcher() as path, os.fdopen(ours) as pipe:
        subprocess.run(
            [path, "-c", f"echo driven > /proc/self/fd/{theirs}"],
            pass_fds=(theirs,),
            check=True,
            env=dict(shell.environ),
        )
        os.close(theirs)
        assert pipe.read() == "driven\n"


@needs_bubblewrap
def test_exit_status_is_the_browsers(shell: Shell) -> None:
    """The driver learns how the browser ended."""
    assert shell.run("exit 42").returncode == 42


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a fact about other processes."""
    deadline = time.monotonic() + RUN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


@needs_bubblewrap
@pytest.mark.parametrize("victim", ["outer", "init", "browser"])
def test_killed_cell_leaves_no_process(shell: Shell, victim: str) -> None:
    """Killing bubblewrap, its init or the browser ends all that the browser started, in any session."""
    word = f"6{os.getpid():07}"
    forks = f"setsid sleep {word} & (sleep {word} &) ; sleep {word}; :"
    with (
        shell.launcher() as path,
        subprocess.Popen([path, "-c", forks], env=dict(shell.environ)) as cell,
    ):
        try:
            wait_until(lambda: len(sleepers(word)) == 3)
            init = psutil.Process(cell.pid).children()[0]
            pids = {"outer": cell.pid, "init": init.pid, "browser": init.children()[0].pid}
            os.kill(pids[victim], signal.SIGKILL)
            cell.wait(RUN_S)
            wait_until(lambda: sleepers(word) == [])
        finally:
            cell.kill()


def sleepers(word: str) -> list[int]:
    """Return the processes that sleep for exactly this long."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] == ["sleep", word]
    ]
