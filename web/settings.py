"""The daemon's settings: what the supervisor takes, the HTTP side, and where all of it comes from.

Sources, the weakest first: the defaults; the section `[greenroom]` of a TOML file; `CAMOUFOX_USER_DATA_DIR`;
the environment's `GREENROOM_*`; the command line. The file is the one that is asked for, else the one that
`GREENROOM_CONFIG` names. In the environment a list is written with commas and a table as JSON, and a variable
that is empty or blank counts as not set: Compose passes on such ones. Relative paths in the file count from
the file's directory, all others from the working directory.
"""

import difflib
import ipaddress
import json
import logging
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import attrs

from greenroom.supervisor.config import (
    InvalidSetting,
    SupervisorConfig,
    Validator,
    is_plain,
    must,
    show,
    to_secret,
)
from greenroom.supervisor.secret import Secret
from greenroom.web.address import BIND_SYNTAX, split_bind

_log = logging.getLogger("greenroom.settings")

SECTION: Final = "greenroom"
ENV_PREFIX: Final = "GREENROOM_"
CONFIG_VARIABLE: Final = "GREENROOM_CONFIG"
PROFILE_VARIABLE: Final = "CAMOUFOX_USER_DATA_DIR"
OTHER_VARIABLES: Final = frozenset({CONFIG_VARIABLE, "GREENROOM_CELL"})
"""Variables with the prefix that are no settings; GREENROOM_CELL marks the processes of a session."""

# Kubernetes sets these in each container for a service whose name begins with greenroom, and Docker for a
# linked container of that name.
_SERVICE_VARIABLE: Final = re.compile(
    r"GREENROOM_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)"
)
_SERVICE_PORT: Final = re.compile(r"GREENROOM_(?:\w+_)?PORT")
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://\S+")

# What others call it.
_MEANT: Final = {f"{ENV_PREFIX}{word}": [f"{ENV_PREFIX}BIND"] for word in ("PORT", "HOST", "ADDRESS")}

_SWITCHES: Final = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), False
)
"""How a switch may be written as text, in any case."""

TOKEN_MIN_LENGTH: Final = 16


class SettingsError(Exception):
    """The settings can't be used. The text is for the user: a line per item of `problems`, no secrets."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def _is_bind(value: object) -> bool:
    return isinstance(value, str) and bool(split_bind(value))


def _is_token(value: object) -> bool:
    if value is None:
        return True
    text = value.reveal() if isinstance(value, Secret) else None
    # It travels in a header: ASCII without spaces.
    return is_plain(text) and text.isascii() and len(text) >= TOKEN_MIN_LENGTH


def _is_grace(value: object) -> bool:
    return type(value) is float and math.isfinite(value) and value >= 0


def _to_grace(value: object) -> object:
    if not isinstance(value, int | str) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value


def _is_origins(value: object) -> bool:
    return isinstance(value, tuple) and all(_is_origin(origin) for origin in value)


def _is_origin(value: object) -> bool:
    if not is_plain(value) or "*" in value or "@" in value:
        return False
    url = urlsplit(value)
    _ = url.port  # raises ValueError when it is no port
    return bool(url.hostname) and value == f"{url.scheme}://{url.netloc}" and not url.netloc.endswith(":")


def _is_hosts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(host, str) and _is_host(host) for host in value)


def _is_host(value: str) -> bool:
    return bool(ipaddress.ip_address(value)) if ":" in value else bool(re.fullmatch("[0-9a-z._-]+", value))


def _to_origins(value: Iterable[str] | str) -> tuple[str, ...]:
    return cast("tuple[str, ...]", _origins_from(value))


def _origins_from(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple | set | frozenset):
        return value
    # Browsers send scheme and host in lower case, and that is compared literally.
    return tuple(origin.lower() if isinstance(origin, str) else origin for origin in value)


@attrs.frozen(kw_only=True, repr=False)
class DaemonSettings(SupervisorConfig):
    """The settings of `greenroom serve`."""

    bind: str = attrs.field(
        default="127.0.0.1:8700",
        validator=must(BIND_SYNTAX, _is_bind),
    )
    """The address to serve on; port 0 takes a free one."""

    drain_grace: float = attrs.field(
        default=10.0, converter=_to_grace, validator=must("a number of seconds, 0 or more", _is_grace)
    )
    """How long live sessions may go on after the daemon was told to stop, in seconds."""

    token: Secret | None = attrs.field(
        default=None,
        repr=False,
        converter=to_secret,
        validator=must(
            f"at least {TOKEN_MIN_LENGTH} ASCII characters without spaces", _is_token, secret=True
        ),
    )
    """What a client must send as its bearer token; required where others can reach the address."""

    cors_origins: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_origins,
        validator=must("a list of origins, each scheme://host or scheme://host:port, without *", _is_origins),
    )
    """The web origins whose pages may call the daemon."""

    allowed_hosts: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_origins,
        validator=must("a list of host names or addresses, without ports", _is_hosts),
    )
    """The names, beside its own address, under which clients may ask for the daemon."""

    def __attrs_post_init__(self) -> None:
        """Check what no setting shows alone: that an address which others can reach has a token."""
        super().__attrs_post_init__()
        if self.token is None and not self.is_loopback:
            raise InvalidSetting(
                "bind",
                show(self.bind),
                "a loopback address such as 127.0.0.1:8700, since others can reach this one and no token is "
                f"set. To let them in, set {ENV_PREFIX}TOKEN, {TOKEN_MIN_LENGTH} or more characters",
            )

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port of `bind`."""
        return split_bind(self.bind)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address. A name other than localhost may mean anything."""
        host, _port = self.address
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host.lower() == "localhost"


def load_settings(
    config_file: Path | None = None, overrides: Mapping[str, object] | None = None
) -> DaemonSettings:
    """Return the settings from all sources.

    `overrides` are the command line's, None among them means not given. Raises SettingsError, with every
    problem that was found, when the file can't be read, when a source names a setting that does not exist,
    or when a value that wins over the others is not allowed.
    """
    environment = {name: text for name, text in os.environ.items() if text.strip()}
    asked_by = "the command line"
    if config_file is None and CONFIG_VARIABLE in environment:
        config_file, asked_by = Path(environment[CONFIG_VARIABLE]), CONFIG_VARIABLE

    sources = _Sources()
    if config_file is not None:
        with suppress(RuntimeError):  # the ~ of a user that does not exist: opening the file will tell
            config_file = config_file.expanduser()
        sources.add_file(config_file, asked_by=asked_by)
    if profile := environment.get(PROFILE_VARIABLE):
        sources.add("user_data_master_dir", profile, origin=PROFILE_VARIABLE)
    sources.add_environment(environment)
    sources.add_command_line(overrides or {})

    settings = sources.build()
    if config_file is None:
        return settings
    return attrs.evolve(settings, private_paths=(*settings.private_paths, config_file.absolute()))


class _Sources:
    """What the sources say, added from the weakest to the strongest, and what is wrong with it."""

    def __init__(self) -> None:
        self._fields = {field.name: field for field in attrs.fields(DaemonSettings)}
        self._values: dict[str, Any] = {}
        self._origins: dict[str, str] = {}
        self._problems: list[str] = []

    def add(self, name: str, value: object, *, origin: str) -> None:
        """Take a setting's value in place of what a weaker source says."""
        self._values[name] = _from_text(value, self._fields[name]) if isinstance(value, str) else value
        self._origins[name] = origin

    def add_file(self, path: Path, *, asked_by: str) -> None:
        """Take the section of a TOML file. Raises SettingsError when the file can't be read."""
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
            elif self._fields[name].type is Path:
                self.add(name, _beside(path, value), origin=str(path))
            elif name == "private_paths" and isinstance(value, list):
                self.add(name, [_beside(path, item) for item in value], origin=str(path))
            else:
                self.add(name, value, origin=str(path))

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Take the variables with our prefix."""
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
        """Take what the command line gives."""
        for name, value in overrides.items():
            if value is None:
                continue
            if name in self._fields:
                self.add(name, value, origin="the command line")
            else:
                self._problems.append(_unknown(name, self._fields, where="from the command line"))

    def build(self) -> DaemonSettings:
        """Return the settings. Raises SettingsError with all problems: the class alone stops at the first."""
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


# What attrs fields declare here: a plain function or nothing, of the types that attrs allows.
_Hooks = tuple[Callable[[Any], Any] | None, Validator | None]


def _is_service_variable(name: str, text: str) -> bool:
    """Return whether Kubernetes or Docker has set this to tell where a service is."""
    if _SERVICE_VARIABLE.fullmatch(name):
        return True
    return bool(_SERVICE_PORT.fullmatch(name) and _SERVICE_ADDRESS.fullmatch(text))


def _from_text(text: str, field: "attrs.Attribute[Any]") -> object:
    """Return what the text stands for where the class does not read text itself, else the text."""
    if field.type is bool:
        return _SWITCHES.get(text.lower(), text)
    if field.name == "selectors":
        with suppress(ValueError):
            return json.loads(text)
    return text


def _beside(file: Path, value: object) -> object:
    """Return a path that `file` names, counted from its directory."""
    return str(file.parent / value) if isinstance(value, str) and value and value[0] != "~" else value


def _unknown(name: str, known: Iterable[str], *, where: str) -> str:
    near = _MEANT.get(name) or difflib.get_close_matches(name, list(known), n=1)
    return f"{name} ({where}) is not a setting" + (f"; did you mean {near[0]}?" if near else "")
