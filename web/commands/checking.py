"""`greenroom serve --check`: whether the daemon could serve here, by the doctor's checks."""

from pathlib import Path
from typing import Final

import attrs
import trio
from rich.console import Console

from greenroom.web.checks import Finding, Level
from greenroom.web.checks.secrets import check_settings_file
from greenroom.web.commands.doctor import CHECKS, look, show_findings
from greenroom.web.http.token_file import read_tokens
from greenroom.web.settings import DaemonSettings
from greenroom.web.settings.sources import find_file

# These are about sessions: what they lack now may be there when somebody asks for one.
_LEFT_OUT: Final = frozenset({"resources", "site"})


async def show_check(settings: DaemonSettings, config_file: Path | None, console: Console) -> bool:
    """Check whether a daemon with these settings could start, and print what was found.

    Returns whether it could. A profile without a login is a warning: the daemon is what one logs in with.
    Raises `SettingsError` if its tokens can't be used.
    """
    await trio.to_thread.run_sync(read_tokens, settings)
    found = await trio.to_thread.run_sync(_examine, settings, config_file)
    findings = [_tempered(finding) for finding in found]
    show_findings(findings, console)
    return all(finding.level is not Level.FAIL for finding in findings)


def _examine(settings: DaemonSettings, config_file: Path | None) -> list[Finding]:
    file = find_file(config_file)
    found = (
        [] if file is None else look("settings file", lambda _settings: check_settings_file(file), settings)
    )
    for subject, check in CHECKS:
        if subject not in _LEFT_OUT:
            found += look(subject, check, settings)
    return found


def _tempered(finding: Finding) -> Finding:
    return (
        attrs.evolve(finding, level=Level.WARN)
        if finding.for_sessions and finding.level is Level.FAIL
        else finding
    )
