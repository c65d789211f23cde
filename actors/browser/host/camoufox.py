"""How Camoufox is launched: with the options that its own package builds, on our profile.

Only separate processes import this, because the package is large. `camoufox_args` asks one of them.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import attrs
from camoufox.addons import DefaultAddons
from camoufox.fingerprints import get_random_preset
from camoufox.multiversion import COMPAT_FLAG
from camoufox.pkgman import camoufox_path, launch_path
from camoufox.utils import launch_options
from msgspec.json import decode

from greenroom.actors.browser.cells.environment import IDENTITY_FILE, display
from greenroom.actors.browser.engines import read_version
from greenroom.actors.browser.host.camoufox_place import Place, as_place, database, find_place
from greenroom.actors.browser.host.firefox import PREFERENCES, playwright_proxy
from greenroom.actors.browser.wire import messages

_MAX_IDENTITY_BYTES = 1 << 20  # one has some KB
_SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}
# Where in an identity its place is; the rest of it is one of Camoufox's presets.
_PLACE = "place"


Identity = dict[str, Any]


@attrs.frozen
class CamoufoxArgsBuilder:
    """Builds the arguments of Playwright's `launch_persistent_context` for Camoufox.

    The `identity` is one of Camoufox's recorded fingerprints, for the real operating system. Whatever else
    the package makes up, such as fonts and noise, it derives from that. Time zone, language and position are
    of `place`, if given. The default add-on is left out, since it would be downloaded while a client waits.
    `block_webgl` is for machines without Camoufox's WebGL data.
    """

    launch: messages.Launch
    identity: Identity | None = None
    place: Place | None = None
    block_webgl: bool = False

    def build(self) -> dict[str, Any]:
        """Return the arguments. Raises what `camoufox.utils.launch_options` raises."""
        proxy = self.launch.proxy
        with contextlib.redirect_stdout(io.StringIO()):  # it prints every property that it does not know
            options: dict[str, Any] = launch_options(
                executable_path=self.launch.executable,
                headless=self.launch.headless,
                os=_SYSTEMS[sys.platform],
                fingerprint_preset=self.identity or True,
                config=dict(self.place or {}),
                # It warns of any position that is given: it might not be that of the proxy.
                i_know_what_im_doing=self.place is not None,
                exclude_addons=list(DefaultAddons),
                firefox_user_prefs=dict(PREFERENCES),
                proxy=playwright_proxy(proxy) if proxy else None,
                block_webgl=self.block_webgl or None,
                # by default it contains this process's whole environment; we choose the browser's
                env=dict[str, str | float | bool]({} if self.launch.headless else display(os.environ)),
            )
        return options | {
            "executable_path": self.launch.executable,
            "user_data_dir": self.launch.profile,
            "no_viewport": True,
        }


def build(*, block_webgl: bool = False) -> None:
    """Read a `Launch` and print its arguments as JSON."""
    launch = decode(sys.stdin.buffer.read(), type=messages.Launch)
    sys.stdout.write(json.dumps(build_args(launch, block_webgl=block_webgl)))


def build_args(launch: messages.Launch, *, block_webgl: bool = False) -> dict[str, Any]:
    """Return the arguments for a profile's own identity, which it gets at its first launch.

    It is kept in the profile, so it stays if that is committed. One that the package can't take any more is
    replaced. If the launch that makes it has a proxy, the identity is where that is, see `find_place`, and
    stays there.
    """
    path = Path(launch.profile, IDENTITY_FILE)
    if (kept := _read_identity(path)) is not None:
        with contextlib.suppress(Exception):  # whatever it is that is wrong with it
            place = as_place(kept.pop(_PLACE, None))
            return CamoufoxArgsBuilder(launch, kept, place, block_webgl).build()
    version = (read_version(Path(launch.executable)) or "").partition(".")[0]
    identity: Identity | None = get_random_preset(os=_SYSTEMS[sys.platform], ff_version=version or None)
    place = find_place(launch.proxy) if launch.proxy else None
    if identity is not None:
        with contextlib.suppress(OSError):
            path.write_text(json.dumps(identity | ({_PLACE: place} if place else {})))
            path.chmod(0o600)
    return CamoufoxArgsBuilder(launch, identity, place, block_webgl).build()


def _read_identity(path: Path) -> Identity | None:
    with contextlib.suppress(OSError, ValueError, RecursionError), path.open("rb") as file:
        kept = json.loads(file.read(_MAX_IDENTITY_BYTES))
        return kept if isinstance(kept, dict) else None
    return None


def locate() -> None:
    """Print Camoufox's path, version and location database as JSON; exit 1 if it is not installed.

    Asking the package for the path makes it remove the data of older versions, so it is asked only if the
    present version has left its mark.
    """
    named = os.environ.get("CAMOUFOX_EXECUTABLE_PATH")
    if named:
        executable = Path(named)
        if not os.access(executable, os.X_OK):
            sys.exit(1)
    elif COMPAT_FLAG.exists():
        executable = Path(launch_path(camoufox_path(download_if_missing=False)))
    else:
        sys.exit(1)
    places = database()
    found = {
        "executable": str(executable),
        "version": read_version(executable) or "unknown",
        "places": str(places) if places else None,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    build() if sys.argv[1:] == ["build"] else locate()
