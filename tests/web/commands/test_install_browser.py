"""How a browser is installed, on fake machines: these tests install and download nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
from camoufox import exceptions, multiversion, pkgman

from greenroom.web.commands import install_browser as module
from greenroom.web.commands.install_browser import LOOK, LOOK_LIMIT_S, Finished, ThisMachine, install_browser
from tests.patience import patience

INSTALL = ["apt-get", "install", "-y", "--no-install-recommends"]


@attrs.define(eq=False)
class FakeMachine:
    """A machine with the named programs. Its apt-get and Camoufox's fetch do as they are told."""

    programs: set[str] = attrs.field(factory=lambda: {"apt-get", "bwrap", "firefox-esr", "ldd"})
    is_root: bool = True
    camoufox: str = "unreachable:its releases can't be listed (ConnectionError)"
    camoufox_after_fetch: str = ""
    libraries: str = "libc.so.6 => /lib/libc.so.6 (0x1)\n"
    libraries_after_apt: str = ""
    apt_works: bool = True
    update_works: bool = True
    look_code: int = 0
    ran: list[list[str]] = attrs.field(factory=list)
    limits: dict[str, float | None] = attrs.field(factory=dict)
    said: list[str] = attrs.field(factory=list)

    def find(self, name: str) -> str | None:
        """Return a path for a program that exists here."""
        return f"/usr/bin/{name}" if name in self.programs else None

    def run(self, argv: Sequence[str], *, limit_s: float | None = None, show: bool = False) -> Finished:
        """Note the command and imitate it."""
        command = "look" if argv[-1] == LOOK else argv[3] if "camoufox" in argv else Path(argv[0]).name
        self.limits[command] = limit_s
        if command in {"look", "firefox", "firefox-esr", "ldd"}:
            return self._answer(command)
        self.ran.append([Path(sys.executable).name if a == sys.executable else a for a in argv])
        return self._act(list(argv), show=show)

    def _answer(self, command: str) -> Finished:
        if command == "look":
            return Finished(code=self.look_code, output=f"Some warning\n{self.camoufox}\n")
        if command == "ldd":
            return Finished(code=0, output=self.libraries)
        return Finished(code=0, output="Mozilla Firefox 153.0esr\n")

    def _act(self, argv: list[str], *, show: bool) -> Finished:
        if argv[-1] == "fetch":
            assert show
            self.camoufox = self.camoufox_after_fetch or self.camoufox
            return Finished(code=0, output="")
        if argv[1] == "update":
            return Finished(
                code=0 if self.update_works else 100, output="" if self.update_works else "E: no net"
            )
        if not self.apt_works:
            return Finished(code=100, output="Reading lists...\nE: Unable to locate package\n")
        self.programs |= {"bwrap" if package == "bubblewrap" else package for package in argv[len(INSTALL) :]}
        self.libraries = self.libraries_after_apt or self.libraries
        return Finished(code=0, output="")

    def install(self) -> bool:
        """Run the code under test on this machine."""
        return install_browser(self, self.said.append)


def test_firefox_installed_and_network_closed_runs_nothing() -> None:
    """If everything is there and Camoufox can't be fetched, the command only looks, for a limited time."""
    machine = FakeMachine()
    assert machine.install()
    assert machine.ran == []
    assert machine.limits["look"] == LOOK_LIMIT_S
    assert machine.said == [
        "Looking for Camoufox",
        "Camoufox can't be fetched from here: its releases can't be listed (ConnectionError)",
        "Browser: /usr/bin/firefox-esr (Firefox 153.0esr), standing in for Camoufox",
    ]


def test_camoufox_installed_runs_nothing_and_needs_no_firefox() -> None:
    """An installed Camoufox ends the search."""
    machine = FakeMachine(programs={"apt-get", "bwrap", "ldd"}, camoufox="installed:/cache/camoufox")
    assert machine.install()
    assert machine.ran == []
    assert machine.said[-1] == "Browser: Camoufox in /cache/camoufox"


def test_releases_listed_fetches_camoufox_without_a_time_limit() -> None:
    """A download of 700 MB on an open network is not cut off, and is announced."""
    machine = FakeMachine(camoufox="available:", camoufox_after_fetch="installed:/cache/camoufox")
    assert machine.install()
    assert machine.ran == [[Path(sys.executable).name, "-m", "camoufox", "fetch"]]
    assert machine.limits["fetch"] is None
    assert "Downloading Camoufox: about 700 MB, a few minutes" in machine.said
    assert machine.said[-1] == "Browser: Camoufox in /cache/camoufox"


def test_fetch_that_leaves_no_browser_falls_back_to_firefox() -> None:
    """Only the presence of Camoufox counts: the fetch exits with 0 in any case."""
    machine = FakeMachine(camoufox="available:")
    assert machine.install()
    assert any(line.startswith("Camoufox could not be fetched (exit code 0): ") for line in machine.said)
    assert machine.said[-1].startswith("Browser: /usr/bin/firefox-esr")


@pytest.mark.parametrize(
    ("output", "code"), [("no answer within 15 seconds", -9), ("Traceback\nImportError: x", 1)]
)
def test_check_that_fails_counts_as_unreachable(output: str, code: int) -> None:
    """If the check is cut off or breaks, there is no Camoufox, and the reason is reported."""
    machine = FakeMachine(camoufox=output, look_code=code)
    assert machine.install()
    assert machine.ran == []
    assert machine.said[1] == f"Camoufox can't be fetched from here: {output.splitlines()[-1]}"


def test_older_camoufox_files_are_left_alone() -> None:
    """A fetch would delete them, so the user has to decide."""
    machine = FakeMachine(camoufox="foreign:/cache/camoufox")
    assert machine.install()
    assert machine.ran == []
    assert machine.said[1].startswith(
        "/cache/camoufox holds an older version's files, which fetching Camoufox would"
    )


def test_no_browser_as_root_installs_firefox_and_sandbox_together() -> None:
    """On a fresh Debian, one apt-get installs both."""
    machine = FakeMachine(programs={"apt-get"})
    assert machine.install()
    assert machine.ran == [["apt-get", "update"], [*INSTALL, "firefox-esr", "bubblewrap"]]
    assert "Installing firefox-esr and bubblewrap with apt-get: about a minute" in machine.said
    assert machine.said[-1].startswith("Browser: /usr/bin/firefox-esr")


def test_no_browser_with_sandbox_as_root_installs_only_firefox() -> None:
    """Programs that are installed are not installed again."""
    machine = FakeMachine(programs={"apt-get", "bwrap"})
    assert machine.install()
    assert machine.ran[-1] == [*INSTALL, "firefox-esr"]


def test_firefox_under_its_plain_name_is_taken() -> None:
    """Other distributions call it firefox."""
    machine = FakeMachine(programs={"firefox", "bwrap"})
    assert machine.install()
    assert machine.said[-1].startswith("Browser: /usr/bin/firefox (")


def test_firefox_that_does_not_answer_is_not_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a placeholder for a package that is not installed."""

    def placeholder(_self: FakeMachine, _command: str) -> Finished:
        return Finished(code=1, output="firefox requires the snap to be installed\n")

    monkeypatch.setattr(FakeMachine, "_answer", placeholder)
    machine = FakeMachine(programs={"firefox", "bwrap"}, is_root=False)
    assert not machine.install()


@pytest.mark.parametrize(
    ("programs", "is_root"), [({"apt-get"}, False), (set(), True)], ids=["not-root", "no-apt"]
)
def test_no_browser_that_can_not_be_installed_says_what_to_run(programs: set[str], is_root: bool) -> None:
    """A user who can't install anything gets the command to run."""
    machine = FakeMachine(programs=programs, is_root=is_root)
    assert not machine.install()
    assert machine.ran == []
    how = (
        "as root: apt-get install firefox-esr bubblewrap"
        if programs
        else "with this system's package manager: what Debian calls firefox-esr and bubblewrap"
    )
    assert machine.said[-1] == f"No browser. Install Firefox, {how}; then run this again"


def test_no_browser_and_apt_failing_says_why_and_what_to_run() -> None:
    """apt-get's last line says what went wrong."""
    machine = FakeMachine(programs={"apt-get"}, apt_works=False, update_works=False)
    assert not machine.install()
    assert machine.said[-4:] == [
        "apt-get update failed: E: no net",
        "apt-get install failed: E: Unable to locate package",
        "Check the network, the proxy and the package sources that apt-get uses",
        "No browser. Install Firefox, as root: apt-get install firefox-esr bubblewrap; then run this again",
    ]


def test_update_that_fails_does_not_matter_when_the_install_works() -> None:
    """One unreachable package source doesn't stop the installation."""
    machine = FakeMachine(programs={"apt-get"}, update_works=False)
    assert machine.install()
    assert not any("failed" in line for line in machine.said)


def test_sandbox_missing_as_root_is_installed() -> None:
    """The sandbox is installed even if there is already a browser."""
    machine = FakeMachine(programs={"apt-get", "firefox-esr"})
    assert machine.install()
    assert machine.ran == [["apt-get", "update"], [*INSTALL, "bubblewrap"]]
    assert not any("Warning" in line for line in machine.said)


@pytest.mark.parametrize(
    ("is_root", "apt_works"), [(False, True), (True, False)], ids=["not-root", "apt-fails"]
)
def test_sandbox_that_can_not_be_installed_is_a_warning(is_root: bool, apt_works: bool) -> None:
    """Sessions run without bubblewrap, so its absence fails nothing."""
    machine = FakeMachine(programs={"apt-get", "firefox-esr"}, is_root=is_root, apt_works=apt_works)
    assert machine.install()
    assert machine.said[-2] == (
        "Warning: bubblewrap is missing, so browsers run without their sandbox. "
        "Install it, as root: apt-get install bubblewrap"
    )


def test_camoufox_lacking_libraries_as_root_gets_them_with_firefox() -> None:
    """Debian's Firefox depends on the libraries that Camoufox needs, so installing it brings them."""
    machine = FakeMachine(
        programs={"apt-get", "bwrap", "ldd"},
        camoufox="installed:/cache/camoufox",
        libraries="\tlibgtk-3.so.0 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n",
        libraries_after_apt="\tlibgtk-3.so.0 => /lib/libgtk-3.so.0 (0x2)\n",
    )
    assert machine.install()
    assert machine.ran[-1] == [*INSTALL, "firefox-esr"]


def test_camoufox_lacking_libraries_for_good_is_no_browser() -> None:
    """A Camoufox that can't start would be chosen before any Firefox, so this is a failure."""
    machine = FakeMachine(
        is_root=False,
        camoufox="installed:/c",
        libraries="\tlibgtk-3.so.0 => not found\n\tlibX.so => not found\n",
    )
    assert not machine.install()
    assert machine.said[-1] == (
        "Camoufox can't start, libraries are missing: libgtk-3.so.0, libX.so. "
        "Install them, as root: apt-get install firefox-esr"
    )


# The check for Camoufox itself.


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Camoufox an empty directory and no network."""

    def closed() -> list[object]:
        raise ConnectionError

    directory = tmp_path / "camoufox"
    monkeypatch.setattr(pkgman, "INSTALL_DIR", directory)
    monkeypatch.setattr(multiversion, "COMPAT_FLAG", directory / ".0.5_FLAG")
    monkeypatch.setattr(pkgman, "list_available_versions", closed)
    return directory


def answer(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the check prints."""
    assert module.main([LOOK]) == 0
    return capsys.readouterr().out.strip()


def _found_at(path: Path | None) -> Callable[..., Path]:
    def camoufox_path(*, download_if_missing: bool) -> Path:
        assert not download_if_missing
        if path is None:
            raise exceptions.CamoufoxNotInstalled
        return path

    return camoufox_path


def test_check_without_camoufox_or_network_says_unreachable(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the releases can't be listed, nothing can be fetched. The check leaves no files behind."""
    assert answer(capsys) == "unreachable:its releases can't be listed (ConnectionError)"
    assert not cache.exists()


@pytest.mark.parametrize(
    ("releases", "said"), [([], "unreachable:it has no release for this machine"), ([1], "available:")]
)
def test_check_with_the_network_open_goes_by_the_releases(
    releases: list[object],
    said: str,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Camoufox is available if it has a release for this machine, whatever a failed fetch left behind."""
    cache.mkdir()
    (cache / "repo_cache.json").write_text("{}")
    monkeypatch.setattr(pkgman, "list_available_versions", lambda: releases)
    assert answer(capsys) == said


def test_check_with_camoufox_installed_says_where(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installed Camoufox is found without a download."""
    cache.mkdir()
    (cache / ".0.5_FLAG").touch()
    monkeypatch.setattr(pkgman, "camoufox_path", _found_at(cache / "browsers"))
    monkeypatch.setattr(pkgman, "launch_path", str)
    assert answer(capsys) == f"installed:{cache}/browsers"
    monkeypatch.setattr(pkgman, "camoufox_path", _found_at(None))
    assert answer(capsys).startswith("unreachable:")


def test_check_with_older_files_keeps_them(tmp_path: Path) -> None:
    """Camoufox's own code deletes files without its flag. The check, run for real here, avoids that."""
    old = tmp_path / "camoufox" / "version.json"
    old.parent.mkdir()
    old.write_text("{}")
    looked = subprocess.run(
        [sys.executable, "-m", module.MODULE, LOOK],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        cwd=Path(module.__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(30),
    )
    assert looked.stdout.strip() == f"foreign:{old.parent}"
    assert old.exists()


# The real machine.


def test_command_on_this_machine_gives_its_code_and_all_output() -> None:
    """Both output streams are returned, and input is closed."""
    done = ThisMachine().run(["sh", "-c", "cat; echo out; echo err >&2; exit 3"], limit_s=10)
    assert done == Finished(code=3, output="out\nerr\n")


def test_command_on_this_machine_over_its_limit_is_ended() -> None:
    """A command has a time limit."""
    assert ThisMachine().run(["sleep", "60"], limit_s=0.1) == Finished(
        code=-9, output="no answer within 0.1 seconds"
    )


def test_command_on_this_machine_that_does_not_exist_fails() -> None:
    """A missing program is a failed command, not an exception."""
    assert ThisMachine().run(["/no/such/program"]).code == 127
    assert ThisMachine().find("no-such-program") is None
