"""Which sandbox holds a cell together, and the rights that bubblewrap has and leaves to the cell."""

import enum
import functools
import os
import shutil
import subprocess

from greenroom.actors.errors import SandboxUnavailable

# The user that root's cells run as, seen from within. If root were mapped to root, a nested namespace could
# not be mapped without a capability.
_NOT_ROOT = 1000
# The parts of /proc that root may change without any capability, because it owns them.
_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
_OWN = ("--die-with-parent", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
_PROBE_S = 10


class Sandbox(enum.Enum):
    """What holds a cell together."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


class SandboxChoice(enum.Enum):
    """What holds a cell together; AUTO means bubblewrap if it works here."""

    AUTO = "auto"
    BUBBLEWRAP = Sandbox.BUBBLEWRAP.value
    NONE = Sandbox.NONE.value


class Rights(enum.Enum):
    """How a cell is kept from using the rights of the user that runs it.

    `USERS`: in a user namespace, without any capability. `ROOT`: if root can't make a user namespace. The
    host's cell then keeps one capability, with which it makes the browsers' cells; those have none.
    """

    USERS = enum.auto()
    ROOT = enum.auto()


@functools.cache
def bubblewrap_problem() -> str | None:
    """Return why bubblewrap can't make cells on this machine, or None if it can; checked once."""
    found = _probe()
    return found if isinstance(found, str) else None


def choose_sandbox(choice: SandboxChoice) -> Sandbox:
    """Return the sandbox for a setting.

    Raises `SandboxUnavailable` when `bubblewrap` is required and does not work.
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
    """Return the rights that cells can be limited to here, the stricter ones if possible; checked once.

    Raises `SandboxUnavailable` if bubblewrap can't make cells.
    """
    found = _probe()
    if isinstance(found, str):
        raise SandboxUnavailable(found)
    return found


def cell_ids(rights: Rights) -> tuple[int, int]:
    """Return the user and group that programs in a cell see themselves as."""
    if rights is Rights.USERS and os.geteuid() == 0:
        return _NOT_ROOT, _NOT_ROOT
    return os.geteuid(), os.getegid()


def _user(rights: Rights) -> list[str]:
    if rights is Rights.ROOT:
        return []
    uid, gid = cell_ids(rights)
    return ["--unshare-user", "--uid", str(uid), "--gid", str(gid)]


def host_isolation(rights: Rights) -> list[str]:
    """Return bubblewrap's command for a host's cell, in which browsers' cells can be made."""
    nesting = ["--cap-add", "CAP_SYS_ADMIN"] if rights is Rights.ROOT else []
    return ["bwrap", *_OWN, *_user(rights), "--cap-drop", "ALL", *nesting]


def browser_isolation(rights: Rights) -> list[str]:
    """Return bubblewrap's command for a browser's cell inside its host's."""
    limits = [*_user(rights), "--cap-drop", "ALL"]
    return [find_bubblewrap(), *_OWN, *limits]


def host_devices() -> list[str]:
    """Return the arguments that mount a host's own /dev and /proc. They must follow the view of the machine.

    In a user namespace the kernel mounts a new /proc only if some existing one is fully visible, with nothing
    mounted over its parts (mount_too_revealing() in fs/namespace.c). So the machine's own /proc is mounted
    first, and then hidden beneath the new /dev.
    """
    return ["--tmpfs", "/dev", "--dev-bind", "/proc", "/dev/proc", *browser_devices()]


def browser_devices() -> list[str]:
    """Return the arguments that mount a browser's own /dev and /proc. They must follow the view."""
    arguments = ["--dev", "/dev", "--tmpfs", "/dev/shm", "--dev-bind-try", "/dev/dri", "/dev/dri"]  # noqa: S108  # in the cell
    arguments += ["--proc", "/proc"]
    for name in _KERNEL if os.geteuid() == 0 else _KERNEL[:1]:
        arguments += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    return arguments


def find_bubblewrap() -> str:
    """Return bubblewrap's path with every link followed, since a cell may not show the links."""
    return os.path.realpath(shutil.which("bwrap") or "bwrap")


def _probe() -> Rights | str:
    """Return the rights with which a cell in a cell works here, or why none does."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    problem = _try(Rights.USERS)
    if problem is None:
        return Rights.USERS
    if os.geteuid() == 0 and _try(Rights.ROOT) is None:
        return Rights.ROOT
    return f"bubblewrap does not work here: {problem}"


def _try(rights: Rights) -> str | None:
    """Return why a cell in a cell does not work with these rights, or None."""
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
