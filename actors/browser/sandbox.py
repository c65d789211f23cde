"""Which sandbox holds a cell together, and how bubblewrap is asked for a host's."""

import enum
import functools
import shutil
import subprocess

from actors.errors import SandboxUnavailable

_NAMESPACE = ("--die-with-parent", "--unshare-pid", "--dev-bind", "/", "/", "--proc", "/proc")


class Sandbox(enum.Enum):
    """What holds a cell together."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


@functools.cache
def bubblewrap_problem() -> str | None:
    """Return why bubblewrap can't make a cell on this machine, or None when it can; asked once."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    try:
        subprocess.run(["bwrap", *_NAMESPACE, "--", "true"], check=True, capture_output=True, timeout=10)
    except subprocess.CalledProcessError as exc:
        return f"bubblewrap does not run here: {exc.stderr.decode(errors='replace').strip()}"
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"bubblewrap does not run here: {exc}"
    return None


def choose_sandbox(choice: str) -> Sandbox:
    """Return the sandbox for a setting: `auto` takes bubblewrap where it runs.

    Raises `SandboxUnavailable` when `bubblewrap` is demanded and does not run.
    """
    if choice == "none":
        return Sandbox.NONE
    problem = bubblewrap_problem()
    if problem is None:
        return Sandbox.BUBBLEWRAP
    if choice == "auto":
        return Sandbox.NONE
    raise SandboxUnavailable(problem)


def host_cell(sandbox: Sandbox, info_fd: int) -> list[str]:
    """Return what to put before a host's command; bubblewrap reports on its init to `info_fd`."""
    if sandbox is Sandbox.NONE:
        return []
    return ["bwrap", *_NAMESPACE, "--info-fd", str(info_fd), "--"]
