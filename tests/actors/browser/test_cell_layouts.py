"""A cell shows its own clone and nothing private, wherever Greenroom's files and the browser are."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from greenroom.actors.browser.cells.binds import Binds, Private, find_home
from greenroom.actors.browser.cells.marks import end_marked
from greenroom.actors.browser.cells.sandbox import Sandbox, cell_rights, host_isolation
from greenroom.actors.browser.client.host import BrowserHosts
from greenroom.actors.browser.engines import Engine, EngineName
from greenroom.actors.errors import SandboxUnavailable
from greenroom.actors.ledger import open_ledger
from tests.actors.browser.cell_shell import SHELL, Shell, needs_bubblewrap
from tests.patience import patience

CANARY = "greenroom-canary"


@attrs.define(kw_only=True)
class Layout:
    """Where everything is: below `base`, unless a test says otherwise."""

    base: Path
    clones: Path
    master: Path
    settings: Path
    home: Path
    browser: Path

    @classmethod
    def below(cls, base: Path) -> "Layout":
        return cls(
            base=base,
            clones=base / "copies",
            master=base / "master",
            settings=base / "greenroom.toml",
            home=base / "home",
            browser=base / "firefox" / "sh",
        )

    def make(self) -> Shell:
        """Create everything, with a canary in every place that no cell may see; return a session's shell."""
        owner = self.clones / "owner"
        for folder in (owner / "clone", owner / "clone.tmp", owner / "other", owner / "ledger"):
            folder.mkdir(parents=True)
        for folder in (self.master, self.home, self.browser.parent, self.settings.parent):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHELL.resolve(), self.browser)
        (self.browser.parent / "application.ini").write_text("[App]")
        self.settings.write_text("token")
        (owner / "clone" / "cookies.sqlite").write_text("own")
        for folder in (owner / "other", owner / "ledger", owner, self.clones, self.master, self.home):
            (folder / CANARY).write_text("secret")
        return Shell(
            folder=Path(os.path.realpath(owner)),
            clone=Path(os.path.realpath(owner / "clone")),
            scratch=Path(os.path.realpath(owner / "clone.tmp")),
            environ={"PATH": os.environ["PATH"], "HOME": str(self.home)},
            executable=self.browser,
            private=Private(
                paths=(self.master, self.clones, self.settings), home=find_home({"HOME": str(self.home)})
            ),
        )


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that makes a directory in a system directory; removed in the end.

    Only one test at a time may use it: a cell would see a concurrent test's directory, which is not private
    to its own.
    """
    made: list[str] = []

    def make(parent: str) -> Path:
        if not os.access(parent, os.W_OK):
            pytest.skip(f"{parent} is not writable")
        made.append(tempfile.mkdtemp(prefix="greenroom-test-", dir=parent))
        return Path(made[-1])

    with Path(__file__).open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield make
        for folder in made:
            shutil.rmtree(folder)


Make = Callable[[str], Path]


def under_opt(make: Make, _tmp_path: Path) -> Layout:
    return Layout.below(make("/opt"))


def under_usr_local(make: Make, _tmp_path: Path) -> Layout:
    return Layout.below(make("/usr/local"))


def browser_in_parent_of_clones(_make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path / "base")
    layout.browser = layout.base / "sh"
    return layout


def browser_in_system_and_clones_beside_it(make: Make, _tmp_path: Path) -> Layout:
    layout = Layout.below(make("/usr/lib"))
    layout.browser = layout.base / "sh"
    return layout


def master_in_bundle(_make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path)
    layout.master = layout.browser.parent / "browser" / "defaults" / "master"
    return layout


def settings_in_etc(make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path / "base")
    layout.settings = make("/etc") / "greenroom.toml"
    return layout


def settings_among_fonts(make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path / "base")
    layout.settings = make("/etc/fonts") / "greenroom.toml"
    return layout


def settings_beside_the_browser_and_linked(_make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path / "base")
    layout.browser.parent.mkdir(parents=True)
    layout.settings.symlink_to(layout.browser.parent / "real.toml")
    return layout


def home_in_usr_local(make: Make, _tmp_path: Path) -> Layout:
    base = make("/usr/local")
    layout = Layout.below(base)
    layout.clones = layout.home / ".cache" / "greenroom" / "clones"
    layout.browser = layout.home / ".cache" / "camoufox" / "sh"
    layout.master = layout.home / "user_data"
    return layout


def clones_by_a_link_into_the_bundle(_make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path / "base")
    (layout.browser.parent / "data").mkdir(parents=True)
    layout.clones.symlink_to(layout.browser.parent / "data")
    return layout


def clones_by_a_link_out_of_the_bundle(_make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path / "base")
    (tmp_path / "elsewhere").mkdir()
    layout.clones = layout.browser.parent / "clones"
    layout.clones.parent.mkdir(parents=True)
    layout.clones.symlink_to(tmp_path / "elsewhere")
    return layout


def browser_by_a_link(_make: Make, tmp_path: Path) -> Layout:
    """The link and its target are both next to the clones."""
    layout = Layout.below(tmp_path / "base")
    layout.base.mkdir()
    layout.browser.parent.symlink_to(layout.base)
    return layout


def master_by_a_link_under_opt(make: Make, tmp_path: Path) -> Layout:
    layout = Layout.below(tmp_path / "base")
    layout.base.mkdir()
    layout.master.symlink_to(make("/opt"))
    return layout


def home_that_a_cell_has_too(make: Make, _tmp_path: Path) -> Layout:
    layout = Layout.below(make("/home"))
    layout.browser = layout.home / "firefox" / "sh"
    return layout


LAYOUTS = [
    under_opt,
    under_usr_local,
    browser_in_parent_of_clones,
    browser_in_system_and_clones_beside_it,
    master_in_bundle,
    settings_in_etc,
    settings_among_fonts,
    settings_beside_the_browser_and_linked,
    home_in_usr_local,
    clones_by_a_link_into_the_bundle,
    clones_by_a_link_out_of_the_bundle,
    browser_by_a_link,
    master_by_a_link_under_opt,
    home_that_a_cell_has_too,
]


@needs_bubblewrap
@pytest.mark.parametrize("lay_out", LAYOUTS, ids=lambda lay_out: lay_out.__name__)
def test_cell_shows_its_clone_and_nothing_private(
    lay_out: Callable[[Make, Path], Layout], temporary: Make, tmp_path: Path
) -> None:
    """Seen from inside, the browser runs, its clone is writable, and no canary is visible."""
    layout = lay_out(temporary, tmp_path)
    shell = layout.make()
    assert shell.says('cd "$1" && cat cookies.sqlite && echo new > written', str(shell.clone)) == "own"
    assert (shell.clone / "written").read_text() == "new\n"
    bases = {
        layout.base,
        layout.settings.parent,
        *map(
            Path,
            map(
                os.path.realpath,
                [layout.base, layout.clones, layout.master, layout.browser.parent, layout.home],
            ),
        ),
    }
    command = 'find "$@" \\( -name "$0" -o -name "*.toml" -o -name other -o -name ledger \\) -type f,d'
    found = subprocess.run(
        [
            *shell.host(),
            *shell.cell(),
            "--",
            "sh",
            "-c",
            command,
            CANARY,
            *map(str, bases),
            "/opt",
            "/usr/local",
            "/etc",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=dict(shell.environ),
    )
    assert found.stdout == ""
    for path in (
        layout.settings,
        layout.settings.resolve(),
        layout.clones / "owner" / "other",
        layout.master / CANARY,
    ):
        assert shell.run('cat "$1"; ls "$1"/*', str(path)).stdout == ""


@needs_bubblewrap
def test_browser_runs_where_nothing_that_its_host_needs_lies_below_tmp(
    temporary: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bubblewrap mounts a cell's root over /tmp, which the host's cell has in any case."""
    monkeypatch.setattr("greenroom.actors.browser.cells.host._python", lambda: ())
    shell = under_opt(temporary, Path()).make()
    assert shell.says('cat "$1/cookies.sqlite"', str(shell.clone)) == "own"
    assert shell.run_in_host("touch /tmp/written").returncode != 0


@needs_bubblewrap
def test_replacement_of_something_private_is_not_seen(tmp_path: Path) -> None:
    """A master that is replaced while a browser runs stays invisible to it."""
    layout = Layout.below(tmp_path)
    layout.master = layout.browser.parent / "master"
    shell = layout.make()
    command = 'echo up; read line; ls "$1"'
    cell = [*shell.host(), *shell.cell(), "--", "sh", "-c", command, "sh", str(layout.browser.parent)]
    with subprocess.Popen(
        cell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(shell.environ)
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        layout.master.rename(tmp_path / "before")
        layout.master.mkdir()
        (layout.master / CANARY).write_text("secret")
        (layout.browser.parent / "new.toml").write_text("secret")
        seen, _ = process.communicate("go\n", timeout=patience(20))
    assert seen.split() == ["application.ini", "sh"]


@needs_bubblewrap
async def test_host_neither_sees_nor_changes_the_ledger(tmp_path: Path) -> None:
    """The ledger says what the next daemon has to end and remove, so a host must not write to it."""
    async with open_ledger(tmp_path / "clones", end_marked) as ledger, ledger.hold("a") as entry:
        await trio.Path(entry.clone).mkdir()
        engine = Engine(name=EngineName.FIREFOX, executable=SHELL, version="1")
        hosts = BrowserHosts(engine=engine, sandbox=Sandbox.BUBBLEWRAP, ledger=ledger)
        script = """cd "$1"; echo x > a/written; find . -name "*.json"
            cat *.lock; mv ledger other; echo > owner.lock"""
        host = [*host_isolation(cell_rights()), *await trio.to_thread.run_sync(hosts.look), "--"]
        done = await trio.run_process(
            [*host, "sh", "-c", script, "sh", str(ledger.folder)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        assert done.stdout == b""
        assert done.stderr.count(b"\n") == 3  # what failed: reading and writing the lock, moving the ledger
        assert (Path(entry.clone) / "written").exists()
        assert not (ledger.folder / "other").exists()
        shutil.rmtree(entry.clone)


def inside_master(layout: Layout) -> None:
    layout.browser = layout.master / "firefox" / "sh"


def inside_clones(layout: Layout) -> None:
    layout.browser = layout.clones / "sh"


def at_home(layout: Layout) -> None:
    layout.browser = layout.home / "sh"


@needs_bubblewrap
@pytest.mark.parametrize("place", [inside_master, inside_clones, at_home])
def test_browser_that_is_private_itself_is_refused(tmp_path: Path, place: Callable[[Layout], None]) -> None:
    """If the browser can't be shown without a secret, it isn't; the log says what to keep apart."""
    layout = Layout.below(tmp_path)
    place(layout)
    shell = layout.make()
    with pytest.raises(SandboxUnavailable) as caught:
        shell.cell()
    assert str(layout.browser.parent) in str(caught.value.detail)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(SandboxUnavailable):
        shell.host()


def test_system_that_is_private_is_refused(tmp_path: Path) -> None:
    """Clones in the root directory, or directly in /usr, leave nothing to run a browser from."""
    for private in ("/", "/usr"):
        with pytest.raises(SandboxUnavailable):
            Binds(Private(paths=(Path(private),))).show_system()


def test_private_among_too_much_else_is_refused(tmp_path: Path) -> None:
    """A cell with a thousand mounts would be slow to make."""
    for number in range(1100):
        (tmp_path / f"{number}").touch()
    binds = Binds(Private(paths=(tmp_path / "1",)))
    with pytest.raises(SandboxUnavailable) as caught:
        binds.show(tmp_path)
    assert str(tmp_path) in str(caught.value.detail)


@pytest.mark.parametrize("home", ["", "/", "relative", "/nonexistent"])
def test_unusable_home_hides_nothing(home: str) -> None:
    """Containers and services may have no home, or one that doesn't exist."""
    assert find_home({"HOME": home}) is None
    assert find_home({}) is None


async def test_sessions_that_come_and_go_are_not_hidden_from_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bubblewrap creates a missing path to hide it, so hiding an ended session would leave a file."""
    monkeypatch.setattr(
        "greenroom.actors.browser.client.host.host_view", lambda **view: sorted(map(str, view["hidden"]))
    )
    engine = Engine(name=EngineName.FIREFOX, executable=SHELL, version="none")
    async with open_ledger(tmp_path / "clones", end_marked) as ledger:
        hosts = BrowserHosts(engine=engine, sandbox=Sandbox.BUBBLEWRAP, ledger=ledger)
        always = [str(ledger.folder / name) for name in ("ledger", "owner.lock")]
        is_over = threading.Event()

        def come_and_go() -> None:
            while not is_over.is_set():
                (ledger.folder / "session").mkdir()
                (ledger.folder / "session").rmdir()

        sessions = threading.Thread(target=come_and_go)
        sessions.start()
        try:
            seen = [hosts.look() for _ in range(500)]
        finally:
            is_over.set()
            sessions.join()
        assert seen == [always] * len(seen)


def test_path_that_can_not_even_be_looked_at_is_left_out() -> None:
    """As one that isn't there: such as a file below the home of somebody else, which is what HOME names."""
    binds = Binds()
    binds.show(Path("/tmp", "x" * 300))  # the system refuses the name itself, to root too
    assert binds.arguments == []
