"""A browser host's cell: what it sees of the machine, for itself and for its browsers to see."""

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import platformdirs

from actors.browser.binds import Binds, Private
from actors.browser.browser_cell import display_paths, find_font_cache
from actors.browser.sandbox import Sandbox, cell_rights, find_bubblewrap, host_devices, host_isolation

_FONTS = "fontconfig"
EVERYTHING: Final = ("--bind", "/", "/", *host_devices())
"""The view of a host of which nobody knows where its profiles will be."""


def host_view(
    *,
    command: Sequence[str],
    executable: Path,
    profiles: Iterable[Path],
    private: Private,
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Return bubblewrap's arguments for what a host sees that runs `command` and launches `executable`.

    It can write to what is in `profiles`, directories in which its profiles and temporary files are. Blocks;
    raises `SandboxUnavailable` where the rest can't be shown without what is private.
    """
    binds = Binds(private)
    binds.show_system()
    binds.show(executable.resolve().parent)
    binds.show_unless_private(find_bubblewrap(), find_font_cache(environ), *display_paths(environ))
    binds.show(*_python(), *filter(os.path.isabs, command))
    _show_camoufox(binds)
    for profile in profiles:
        binds.own(profile)
    return [*binds.arguments, *host_devices(), "--remount-ro", "/"]


def host_cell(sandbox: Sandbox, view: Sequence[str], info_fd: int) -> list[str]:
    """Return what to put before a host's command; bubblewrap reports on its init to `info_fd`."""
    if sandbox is Sandbox.NONE:
        return []
    return [*host_isolation(cell_rights()), *view, "--info-fd", str(info_fd), "--"]


def _python() -> Iterable[str]:
    """Return where this interpreter is, the packages installed for it, and our own."""
    yield from (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    yield from (path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"})
    yield str(Path(__file__).parents[1])


def _show_camoufox(binds: Binds) -> None:
    """Show what Camoufox's package keeps in the user's cache, but for the folder that it writes to."""
    cache = platformdirs.user_cache_path("camoufox")
    with contextlib.suppress(OSError):
        binds.show_unless_private(*(path for path in cache.iterdir() if path.name != _FONTS))
    binds.arguments += ["--tmpfs", str(cache / _FONTS)]
