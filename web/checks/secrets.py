"""Checks of files that hold secrets: who else can read them, and whether they can be used."""

import stat
import tomllib
from pathlib import Path
from typing import Final

from greenroom.web.checks.finding import Finding, Level
from greenroom.web.http.tls import TlsFiles, TlsUnusable
from greenroom.web.settings import DaemonSettings
from greenroom.web.settings.sources import SECTION

_SECRETS: Final = ("token", "proxy", "profile_proxies")


def check_settings_file(path: Path) -> Finding:
    """Warn if others can read a file of settings that holds a secret. It has been read before."""
    with path.open("rb") as file:
        section = tomllib.load(file).get(SECTION, {})
    mode = stat.S_IMODE(path.stat().st_mode)
    held = [name for name in _SECRETS if name in section]
    if held and mode & 0o007:
        found = f"{path} has mode {mode:04o}, and {' and '.join(held)} in it: every user here can read that"
        return Finding("settings file", Level.WARN, found, f"chmod 0640 {path}")
    return Finding("settings file", Level.OK, str(path))


def check_tls(settings: DaemonSettings) -> Finding | None:
    """Check the certificate and its key as the daemon loads them. None without TLS."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    try:
        TlsFiles(settings.tls_certificate, settings.tls_key).open_context()
    except TlsUnusable as exc:
        return Finding("tls", Level.FAIL, str(exc), exc.fix)
    return Finding("tls", Level.OK, str(settings.tls_certificate))
