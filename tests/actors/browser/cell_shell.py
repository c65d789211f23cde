"""A shell in a browser's cell. A browser can see and do exactly what the shell can."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from greenroom.actors.browser.cells.binds import Private
from greenroom.actors.browser.cells.browser import browser_cell
from greenroom.actors.browser.cells.host import host_view
from greenroom.actors.browser.cells.sandbox import Rights, bubblewrap_problem, cell_rights, host_isolation
from greenroom.actors.browser.host.launcher import open_launcher, path_of
from tests.patience import patience

SHELL = Path(shutil.which("sh") or "/bin/sh")
RUN_S = patience(20)

needs_bubblewrap = pytest.mark.skipif(
    bubblewrap_problem() is not None, reason="bubblewrap does not work here"
)


@attrs.frozen(kw_only=True)
class Shell:
    """A shell in a browser's cell, in the cell of a host that owns `folder`."""

    folder: Path
    clone: Path
    scratch: Path
    environ: Mapping[str, str]
    executable: Path = SHELL
    private: Private = attrs.field(factory=Private)
    rights: Rights = attrs.field(factory=cell_rights)

    def cell(self, *, headless: bool = True) -> list[str]:
        """Return the command of a browser's cell, without the browser itself."""
        return browser_cell(
            executable=self.executable,
            profile=self.clone,
            scratch=self.scratch,
            headless=headless,
            rights=self.rights,
            private=self.private,
            environ=self.environ,
        )

    def host(self) -> list[str]:
        """Return the command of the cell of a host that owns the clone."""
        view = host_view(
            command=(),
            executable=self.executable,
            profiles=[self.folder],
            private=self.private,
            environ=self.environ,
        )
        return [*host_isolation(self.rights), *view, "--"]

    @contextlib.contextmanager
    def launcher(self, *, headless: bool = True) -> Iterator[str]:
        """Yield the path that a driver would execute."""
        descriptor = open_launcher(self.cell(headless=headless), str(self.executable.resolve()))
        try:
            yield path_of(descriptor)
        finally:
            os.close(descriptor)

    def run_in_host(self, command: str, *args: str) -> "subprocess.CompletedProcess[str]":
        """Run a command with arguments in the host's cell."""
        return self._run([*self.host(), "sh", "-c", command, "sh", *args])

    def run(self, command: str, *args: str, headless: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command with arguments in the browser's cell, inside the host's."""
        cell = [
            *self.host(),
            *self.cell(headless=headless),
            "--remount-ro",
            "/",
            "--",
            str(self.executable.resolve()),
        ]
        return self._run([*cell, "-c", command, "sh", *args])

    def run_launcher(self, *args: str) -> "subprocess.CompletedProcess[str]":
        """Run the browser with its arguments, as a driver does."""
        with self.launcher() as path:
            return self._run([path, *args])

    def _run(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_S, check=False, env=dict(self.environ)
        )

    def says(self, command: str, *args: str) -> str:
        """Return what a command prints; it must succeed."""
        done = self.run(command, *args)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def sees(self, path: Path) -> bool:
        """Return whether something, even a dangling link, is at `path` in the cell."""
        return self.run('test -e "$1" || test -h "$1"', str(path)).returncode == 0


def make_shell(folder: Path, clone: str = "clone") -> Shell:
    """Make a clone, another one, a master profile and a home, and a shell for the first."""
    for name in (clone, "other", "master", "home"):
        (folder / name).mkdir(parents=True)
        (folder / name / "cookies.sqlite").write_text(f"of {name}")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
    return Shell(folder=folder, clone=folder / clone, scratch=folder, environ=environ)


@contextlib.contextmanager
def noexec_mount(folder: Path) -> Iterator[Path]:
    """Mount a filesystem at `folder` from which nothing can be executed. Without root, skip the test."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,size=512m", "greenroom-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
