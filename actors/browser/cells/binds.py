"""What a cell shows of the machine: paths that are checked before they are bound, and nothing private."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from greenroom.actors.browser.engines import FIREFOX_NAMES
from greenroom.actors.errors import SandboxUnavailable

# Where programs, libraries and fonts are. Missing paths are left out, here and below.
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
# The configuration of libraries, fonts, certificates, graphics and browsers; no accounts and no keys.
_ETC = (
    *(
        "alternatives",
        "ca-certificates",
        "crypto-policies",
        *FIREFOX_NAMES,
        "fonts",
        "glvnd",
        "gtk-3.0",
    ),
    *("ld.so.cache", "pki/ca-trust", "pki/tls/certs", "pulse", "ssl/certs", "vulkan"),
)
_RESOLVER = ("/run/systemd/resolve", "/run/resolvconf")
_PROCESSORS = "/sys/devices/system/cpu"
_GRAPHICS = ("/sys/dev/char", "/sys/class/drm", "/sys/bus/pci")
# Without it, each of a browser's processes rereads all fonts, which costs 0.3 s of a launch.
_FONTS = "/var/cache/fontconfig"
# Far more than the entries of any folder that also holds something private.
_MAX_BINDS = 1000
_EXPOSED = "The sandbox can't hide from a browser what it may not see"


def _real(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(Path(os.path.realpath(path)) for path in paths)


@attrs.frozen
class Private:
    """What no browser may see: master profile, clones, settings, and everything below. Links are followed.

    `home` itself is private too, but not everything below it: a browser may be installed there.
    """

    paths: tuple[Path, ...] = attrs.field(default=(), converter=_real)
    home: Path | None = None

    def around(self, path: Path) -> Path | None:
        """Return the private path that is, or contains, `path`, which must have no links; else None."""
        if path == self.home:
            return path
        return next((private for private in self.paths if path.is_relative_to(private)), None)

    def is_within(self, path: Path) -> bool:
        """Return whether anything below `path`, which must have no links, is private."""
        everything = (*self.paths, self.home) if self.home else self.paths
        return any(private.is_relative_to(path) for private in everything)


@attrs.define(eq=False)
class Binds:
    """Collects bubblewrap's arguments for a cell that shows paths of the machine, but nothing private.

    A folder that contains something private is shown entry by entry, without the private one. That also hides
    anything that takes the private one's place later. All methods block.
    """

    private: Private = attrs.field(factory=Private)
    arguments: list[str] = attrs.field(factory=list, init=False)
    _shown: set[Path] = attrs.field(factory=set, init=False)

    def show(self, *paths: str | Path) -> None:
        """Show `paths` read-only, each under its own name.

        Raises `SandboxUnavailable` if one is private itself, or can't be shown without something private.
        """
        for path in map(Path, paths):
            if self._shown.isdisjoint((path, *path.parents)):
                self._show(Path(os.path.realpath(path)), path)

    def show_unless_private(self, *paths: str | Path) -> None:
        """Show those of `paths` that are not private, and leave out the others."""
        self.show(*(path for path in paths if self.private.around(Path(os.path.realpath(path))) is None))

    def show_system(self) -> None:
        """Show what every program needs. Raises `SandboxUnavailable`."""
        for path in map(Path, _PROGRAMS):
            if path.is_symlink():  # into /usr, on distributions that have merged the two
                self.arguments += ["--symlink", str(path.readlink()), str(path)]
                self._shown.add(path)
            else:
                self.show(path)
        self.show_unless_private("/opt", *(f"/etc/{name}" for name in _ETC), *_RESOLVER, _PROCESSORS, _FONTS)
        if Path("/dev/dri").exists():
            self.show_unless_private(*_GRAPHICS, *Path("/sys/devices").glob("pci*"))

    def show_as(self, source: Path, path: str) -> None:
        """Show `source` read-only at `path`, unless it is private."""
        real = Path(os.path.realpath(source))
        if self.private.around(real) is None:
            self._show(real, Path(path))

    def own(self, source: Path, path: str | None = None) -> None:
        """Let the cell write to `source`, which is its own. Call it after showing what is around `path`."""
        self.arguments += ["--bind", str(source), path or str(source)]

    def hide(self, path: Path) -> None:
        """Replace `path`, inside something shown or owned already, with an empty folder or file."""
        self.arguments += ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]

    def _show(self, source: Path, path: Path) -> None:
        private = self.private.around(source)
        if private is not None:
            raise SandboxUnavailable(
                _EXPOSED,
                detail=f"a browser or its host needs {source}, and {private} is private: keep them apart",
            )
        if not self.private.is_within(source):
            self._bind(source, path)
            return
        self.arguments += ["--dir", str(path)]
        try:
            children = sorted(os.scandir(source), key=lambda child: child.name)
        except OSError as exc:
            raise SandboxUnavailable(_EXPOSED, detail=f"{source} can't be read: {exc.strerror}") from exc
        for child in children:
            if child.is_symlink():  # recreated instead of followed: its target may be private
                self.arguments += ["--symlink", str(Path(child).readlink()), str(path / child.name)]
            elif (child.is_dir() or child.is_file()) and self.private.around(Path(child)) is None:
                self._show(Path(child), path / child.name)

    def _bind(self, source: Path, path: Path) -> None:
        if not os.path.exists(source):  # noqa: PTH110  # raises nothing, such as for a HOME of somebody else
            return
        if len(self.arguments) > 3 * _MAX_BINDS:  # each bind takes three arguments
            raise SandboxUnavailable(
                _EXPOSED,
                detail=f"too much is next to something private (for example {source}): move it elsewhere",
            )
        # "-try", because the path may be gone by the time bubblewrap binds it.
        self.arguments += ["--ro-bind-try", str(source), str(path)]
        self._shown.add(path)


def find_home(environ: Mapping[str, str]) -> Path | None:
    """Return our own home, which is private, or None: a service's HOME may be one of the system's folders."""
    home = environ.get("HOME", "")
    try:
        is_own = Path(home).is_absolute() and home != "/" and Path(home).stat().st_uid == os.geteuid()
    except OSError:
        is_own = False
    return Path(os.path.realpath(home)) if is_own else None
