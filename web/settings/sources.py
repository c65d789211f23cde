"""Reads the daemon's settings from their sources.

From the weakest to the strongest: the defaults; the section `[greenroom]` of a TOML file;
`CAMOUFOX_USER_DATA_DIR`; the environment's `GREENROOM_*`; the command line. The file is the one on the
command line, otherwise the one that `GREENROOM_CONFIG` names. In the environment, a list is written with
commas and a table as JSON. An empty or blank variable counts as not set, since Compose passes such variables
on. Relative paths in the file count from the file's directory, all others from the working directory.
"""

import difflib
import json
import logging
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import attrs

from greenroom.supervisor.config import InvalidSetting
from greenroom.supervisor.config.validators import Validator
from greenroom.web.settings.daemon import ENV_PREFIX, DaemonSettings

_log = logging.getLogger("greenroom.settings")

SECTION: Final = "greenroom"
CONFIG_VARIABLE: Final = "GREENROOM_CONFIG"
PROFILE_VARIABLE: Final = "CAMOUFOX_USER_DATA_DIR"
CLIENT_TOKEN_VARIABLE: Final = "GREENROOM_CLIENT_TOKEN"  # noqa: S105  # only its name
"""The token that commands send, where that is not the daemon's own."""
OTHER_VARIABLES: Final = frozenset({CONFIG_VARIABLE, CLIENT_TOKEN_VARIABLE, "GREENROOM_CELL"})
"""Variables with the prefix that are not settings. GREENROOM_CELL marks a session's processes."""

# Kubernetes sets these variables in every container if a service's name begins with greenroom, and Docker if
# a linked container's does.
_SERVICE_VARIABLE: Final = re.compile(
    r"GREENROOM_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)"
)
_SERVICE_PORT: Final = re.compile(r"GREENROOM_(?:\w+_)?PORT")
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://\S+")

# Names that users may know from other programs.
_MEANT: Final = {f"{ENV_PREFIX}{word}": [f"{ENV_PREFIX}BIND"] for word in ("PORT", "HOST", "ADDRESS")}

_SWITCHES: Final = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), False
)
"""The texts of a switch, in lower case."""


class SettingsError(Exception):
    """The settings can't be used. The text is for the user: a line for each of `problems`, no secrets."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def load_settings(
    config_file: Path | None = None, overrides: Mapping[str, object] | None = None
) -> DaemonSettings:
    """Return the settings from all sources.

    `overrides` are the command line's; None means not given. Raises SettingsError, with every problem that
    was found, if the file can't be read, if a source names an unknown setting, or if a value that wins over
    the others is not allowed.
    """
    environment = {name: text for name, text in os.environ.items() if text.strip()}
    asked_by = CONFIG_VARIABLE if config_file is None else "the command line"
    config_file = find_file(config_file)

    sources = _Sources()
    if config_file is not None:
        sources.add_file(config_file, asked_by=asked_by)
    if profile := environment.get(PROFILE_VARIABLE):
        sources.add("user_data_master_dir", profile, origin=PROFILE_VARIABLE)
    sources.add_environment(environment)
    sources.add_command_line(overrides or {})

    settings = sources.build()
    files = (config_file, settings.tokens_file, settings.tls_key, settings.socket_path)
    private = [path.absolute() for path in files if path is not None]
    return attrs.evolve(settings, private_paths=(*settings.private_paths, *private)) if private else settings


def find_file(config_file: Path | None) -> Path | None:
    """Return the file to read: the command line's, else the one that GREENROOM_CONFIG names, if any."""
    if config_file is None and (named := os.environ.get(CONFIG_VARIABLE, "")).strip():
        config_file = Path(named)
    if config_file is not None:
        with suppress(RuntimeError):  # if the user does not exist, opening the file fails
            config_file = config_file.expanduser()
    return config_file


class _Sources:
    """The values of the sources, added from the weakest to the strongest, and the problems found."""

    def __init__(self) -> None:
        self._fields = {field.name: field for field in attrs.fields(DaemonSettings)}
        self._values: dict[str, Any] = {}
        self._origins: dict[str, str] = {}
        self._problems: list[str] = []

    def add(self, name: str, value: object, *, origin: str) -> None:
        """Set a value; it replaces that of a weaker source."""
        self._values[name] = _from_text(value, self._fields[name]) if isinstance(value, str) else value
        self._origins[name] = origin

    def add_file(self, path: Path, *, asked_by: str) -> None:
        """Add the section of a TOML file. Raises SettingsError if the file can't be read."""
        try:
            with path.open("rb") as file:
                whole = tomllib.load(file)
        except (OSError, ValueError) as exc:  # ValueError: malformed, or not UTF-8
            text = exc.strerror if isinstance(exc, OSError) else f"this is not TOML: {exc}"
            raise SettingsError(
                [f"can't read the file {str(path)!r} (named by {asked_by}): {text}"]
            ) from None
        section = whole.pop(SECTION, None)
        self._problems.extend(f"{key} is outside of [{SECTION}] in {path}" for key in whole)
        if not isinstance(section, dict):
            self._problems.append(f"{path} has no section [{SECTION}]")
            return
        for name, value in section.items():
            if name not in self._fields:
                self._problems.append(_unknown(name, self._fields, where=f"in {path}"))
            elif self._fields[name].type in {Path, Path | None}:
                self.add(name, _beside(path, value), origin=str(path))
            elif name == "private_paths" and isinstance(value, list):
                self.add(name, [_beside(path, item) for item in value], origin=str(path))
            else:
                self.add(name, value, origin=str(path))

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Add the variables with our prefix."""
        known = {f"{ENV_PREFIX}{name.upper()}": name for name in self._fields}
        foreign = []
        for variable, text in sorted(environment.items()):
            if variable in known:
                self.add(known[variable], text, origin=variable)
            elif _is_service_variable(variable, text):
                foreign.append(variable)
            elif variable.startswith(ENV_PREFIX) and variable not in OTHER_VARIABLES:
                near = [*known, CONFIG_VARIABLE]
                self._problems.append(_unknown(variable, near, where="in the environment"))
        if foreign:
            _log.info("ignored variables of a service called greenroom: %s", ", ".join(foreign))

    def add_command_line(self, overrides: Mapping[str, object]) -> None:
        """Add the command line's options."""
        for name, value in overrides.items():
            if value is None:
                continue
            if name in self._fields:
                self.add(name, value, origin="the command line")
            else:
                self._problems.append(_unknown(name, self._fields, where="from the command line"))

    def build(self) -> DaemonSettings:
        """Return the settings. Raises SettingsError with all problems; the class stops at the first one."""
        for name, value in self._values.items():
            field = self._fields[name]
            convert, validate = cast("_Hooks", (field.converter, field.validator))
            with self._noting_problems():
                if validate:
                    validate(None, field, convert(value) if convert else value)
        if not self._problems:
            with self._noting_problems():
                return DaemonSettings(**self._values)
        raise SettingsError(self._problems)

    @contextmanager
    def _noting_problems(self) -> Iterator[None]:
        try:
            yield
        except InvalidSetting as exc:
            self._problems.append(exc.describe(self._origins.get(exc.name.partition(".")[0])))


# Converters and validators here are plain functions or None; attrs allows more.
_Hooks = tuple[Callable[[Any], Any] | None, Validator | None]


def _is_service_variable(name: str, text: str) -> bool:
    """Return whether Kubernetes or Docker has set this variable, for a service's address."""
    if _SERVICE_VARIABLE.fullmatch(name):
        return True
    return bool(_SERVICE_PORT.fullmatch(name) and _SERVICE_ADDRESS.fullmatch(text))


def _from_text(text: str, field: "attrs.Attribute[Any]") -> object:
    """Convert the text of a switch or a table. The class reads the text of other settings itself."""
    if field.type is bool:
        return _SWITCHES.get(text.lower(), text)
    if field.name in {"selectors", "profile_proxies"}:
        with suppress(ValueError):
            return json.loads(text)
    return text


def _beside(file: Path, value: object) -> object:
    """Return a path from `file`, relative to its directory."""
    return str(file.parent / value) if isinstance(value, str) and value and value[0] != "~" else value


def _unknown(name: str, known: Iterable[str], *, where: str) -> str:
    near = _MEANT.get(name) or difflib.get_close_matches(name, list(known), n=1)
    return f"{name} ({where}) is not a setting" + (f"; did you mean {near[0]}?" if near else "")
