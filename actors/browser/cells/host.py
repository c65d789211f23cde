"""A browser host's cell: what the host, and through it its browsers, can see of the machine."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from greenroom.actors.browser.cells.binds import Binds, Private
from greenroom.actors.browser.cells.browser import display_paths, find_font_cache
from greenroom.actors.browser.cells.sandbox import (
    Sandbox,
    cell_rights,
    find_bubblewrap,
    host_devices,
    host_isolation,
)

EVERYTHING: Final = ("--bind", "/", "/", *host_devices())
"""The view of a host whose profiles can be anywhere."""

# bubblewrap builds a cell's root over its own /tmp: without one in the host's cell, no browser's can be made.
_MOUNT_POINT: Final = ("--dir", "/tmp")  # noqa: S108  # in the cell, where nobody writes to it


def host_view(
    *,
    command: Sequence[str],
    executable: Path,
    profiles: Iterable[Path],
    hidden: Iterable[Path] = (),
    private: Private,
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Return bubblewrap's arguments for the view of a host that runs `command` and launches `executable`.

    The host can write to `profiles`, which hold its profiles and temporary files, under their real paths; it
    can neither see nor change what is `hidden` in them. Blocks. Raises `SandboxUnavailable` if the rest can't
    be shown without something private.
    """
    binds = Binds(private)
    binds.show_system()
    binds.show(executable.resolve().parent)
    binds.show_unless_private(find_bubblewrap(), find_font_cache(environ), *display_paths(environ))
    binds.show_unless_private(*_python())
    binds.show(*(word for word in command if Path(word).is_absolute()))
    for profile in profiles:
        binds.own(Path(os.path.realpath(profile)))
    for path in hidden:
        binds.hide(path)
    # The root is a tmpfs in which bubblewrap creates the mount points, so it becomes read-only last.
    return [*_MOUNT_POINT, *binds.arguments, *host_devices(), "--remount-ro", "/"]


def host_cell(sandbox: Sandbox, view: Sequence[str], info_fd: int) -> list[str]:
    """Return the prefix of a host's command. Bubblewrap reports the pid of its init to `info_fd`."""
    if sandbox is Sandbox.NONE:
        return []
    return [*host_isolation(cell_rights()), *view, "--info-fd", str(info_fd), "--"]


def _python() -> Iterable[str]:
    """Return the paths of this interpreter, and of everything that it can import."""
    yield from (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    yield from (path for path in sys.path if Path(path).is_absolute() and path != "/")
    actors = Path(__file__).parents[2]
    yield from (str(actors.with_name("__init__.py")), str(actors))
