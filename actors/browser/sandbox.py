"""Which sandbox holds a cell together, and what bubblewrap may do and leave for a cell to do."""

import enum
import functools
import os
import shutil
import subprocess

from actors.errors import SandboxUnavailable

# As whom root's cells run, seen from within. Where root were mapped to root, a further namespace in it could
# not be mapped without a capability.
_NOT_ROOT = 1000
# Of /proc, what root may change without any capability, since it owns it.
_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
_OWN = ("--die-with-parent", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
_PROBE_S = 10


class Sandbox(enum.Enum):
    """What holds a cell together."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


class SandboxChoice(enum.Enum):
    """What is to hold a cell together; AUTO takes bubblewrap where it runs."""

    AUTO = "auto"
    BUBBLEWRAP = Sandbox.BUBBLEWRAP.value
    NONE = Sandbox.NONE.value


class Rights(enum.Enum):
    """How a cell is kept from using the rights of who runs it.

    `USERS`: in a user namespace, without any capability. `ROOT`: where root can make none; its host's cell
    keeps one capability, by which it makes those of browsers, and these have none.
    """

    USERS = enum.auto()
    ROOT = enum.auto()


@functools.cache
def bubblewrap_problem() -> str | None:
    """Return why bubblewrap can't make cells on this machine, or None when it can; asked once."""
    found = _probe()
    return found if isinstance(found, str) else None


def choose_sandbox(choice: SandboxChoice) -> Sandbox:
    """Return the sandbox for a setting.

    Raises `SandboxUnavailable` when bubblewrap is demanded and does not run.
    """
    if choice is SandboxChoice.NONE:
        return Sandbox.NONE
    problem = bubblewrap_problem()
    if problem is None:
        return Sandbox.BUBBLEWRAP
    if choice is SandboxChoice.AUTO:
        return Sandbox.NONE
    raise SandboxUnavailable(problem)


@functools.cache
def cell_rights() -> Rights:
    """Return the rights that cells can be held to here, the stricter ones if possible; asked once.

    Raises `SandboxUnavailable` where bubblewrap can't make any.
    """
    found = _probe()
    if isinstance(found, str):
        raise SandboxUnavailable(found)
    return found


def cell_ids(rights: Rights) -> tuple[int, int]:
    """Return the user and group that programs in a cell find themselves to be."""
    if rights is Rights.USERS and os.geteuid() == 0:
        return _NOT_ROOT, _NOT_ROOT
    return os.geteuid(), os.getegid()


def _user(rights: Rights) -> list[str]:
    if rights is Rights.ROOT:
        return []
    uid, gid = cell_ids(rights)
    return ["--unshare-user", "--uid", str(uid), "--gid", str(gid)]


def host_isolation(rights: Rights) -> list[str]:
    """Return bubblewrap's command for a host's cell, in which it can make those of browsers."""
    nesting = ["--cap-add", "CAP_SYS_ADMIN"] if rights is Rights.ROOT else []
    return ["bwrap", *_OWN, *_user(rights), "--cap-drop", "ALL", *nesting]


def browser_isolation(rights: Rights) -> list[str]:
    """Return bubblewrap's command for a browser's cell within its host's."""
    limits = [*_user(rights), "--cap-drop", "ALL"]
    return [find_bubblewrap(), *_OWN, *limits]


def host_devices() -> list[str]:
    """Return what mounts a host's own /dev and /proc, to come after what is shown of the machine.

    In a user namespace, the kernel mounts a /proc only for who has one with nothing mounted over its parts.
    The machine's own lies beneath the new /dev for that, where nobody can look at it.
    """
    return ["--tmpfs", "/dev", "--dev-bind", "/proc", "/dev/proc", *browser_devices()]


def browser_devices() -> list[str]:
    """Return what mounts a browser's own /dev and /proc, to come after what is shown of the machine."""
    arguments = ["--dev", "/dev", "--tmpfs", "/dev/shm", "--dev-bind-try", "/dev/dri", "/dev/dri"]  # noqa: S108  # in the cell
    arguments += ["--proc", "/proc"]
    for name in _KERNEL if os.geteuid() == 0 else _KERNEL[:1]:
        arguments += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    return arguments


def find_bubblewrap() -> str:
    """Return where bubblewrap is, every link followed: a cell may not show the links."""
    return os.path.realpath(shutil.which("bwrap") or "bwrap")


def _probe() -> Rights | str:
    """Return the rights with which a cell in a cell runs here, or why none does."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    problem = _try(Rights.USERS)
    if problem is None:
        return Rights.USERS
    if os.geteuid() == 0 and _try(Rights.ROOT) is None:
        return Rights.ROOT
    return f"bubblewrap does not run here: {problem}"


def _try(rights: Rights) -> str | None:
    """Return why a cell in a cell does not run with these rights, or None."""
    everything = ["--ro-bind", "/", "/"]
    host = [*host_isolation(rights), *everything, *host_devices(), "--"]
    browser = [*browser_isolation(rights), *everything, *browser_devices(), "--"]
    try:
        subprocess.run([*host, *browser, "true"], check=True, capture_output=True, timeout=_PROBE_S)
    except subprocess.CalledProcessError as exc:
        return str(exc.stderr.decode(errors="replace").strip())
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    return None
