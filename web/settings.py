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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import attrs
import typed_settings as ts
from typed_settings.converters import TSConverter, to_bool
from typed_settings.exceptions import TsError
from typed_settings.loaders import DictLoader, Loader
from typed_settings.types import LoadedSettings, LoaderMeta, OptionList, SettingsDict

from supervisor.config import InvalidSetting, SupervisorConfig, Validator, is_plain, must, show, to_secret
from supervisor.secret import Secret

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

TOKEN_MIN_LENGTH: Final = 16


class SettingsError(Exception):
    """The settings can't be used. The text is for the user: a line per item of `problems`, no secrets."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def split_bind(bind: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPv6]:PORT`. Raises ValueError for anything else."""
    match = re.fullmatch(
        r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[0-9A-Za-z._-]+)):(?P<port>[0-9]{1,5})", bind
    )
    if match is None or (port := int(match["port"])) > 65_535:
        raise ValueError(bind)
    if ipv6 := match["ipv6"]:
        return str(ipaddress.IPv6Address(ipv6)), port
    host = match["host"]
    if re.fullmatch(r"[0-9.]+", host):
        ipaddress.IPv4Address(host)
    return host, port


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
    return float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else value


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
    """All that `greenroom serve` can be told."""

    bind: str = attrs.field(
        default="127.0.0.1:8700",
        validator=must("HOST:PORT or [IPv6]:PORT, the port from 0 to 65535", _is_bind),
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
    loading = _Loading()
    loaders: list[Loader] = []
    if config_file is not None:
        loaders.append(loading.file(config_file, asked_by="the command line"))
    elif named := _environment().get(CONFIG_VARIABLE):
        loaders.append(loading.file(Path(named), asked_by=CONFIG_VARIABLE))
    if profile := _environment().get(PROFILE_VARIABLE):
        loaders.append(loading.values({"user_data_master_dir": profile}, origin=PROFILE_VARIABLE))
    loaders.append(loading.environment())
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    loaders.append(loading.values(given, origin="the command line"))
    loaded = ts.load_settings(
        DaemonSettings,
        loaders,
        processors=[loading.check],
        # Not the default one: that is another where cattrs happens to be installed.
        converter=TSConverter(resolve_paths=False),
    )
    return attrs.evolve(loaded, private_paths=(*loaded.private_paths, *loading.files))


# What attrs fields declare here: a plain function or nothing, of the types that attrs allows.
_Hooks = tuple[Callable[[Any], Any] | None, Validator | None]


class _Loading:
    """One run through the sources: makes the loaders, and notes on the way what an error has to say."""

    def __init__(self) -> None:
        self._fields = {field.name: field for field in attrs.fields(DaemonSettings)}
        self._origins: dict[str, str] = {}
        self._problems: list[str] = []
        self.files: list[Path] = []

    def file(self, path: Path, *, asked_by: str) -> Loader:
        """Return a loader for the section of a TOML file; it raises SettingsError when it can't be read."""
        with suppress(RuntimeError):  # the ~ of a user that does not exist: opening the file will tell
            path = path.expanduser()
        self.files.append(path.absolute())

        def load(settings_cls: type, options: OptionList) -> LoadedSettings:
            try:
                whole = ts.TomlFormat(None)(path, settings_cls, options)
            except (OSError, UnicodeDecodeError, TsError) as exc:
                # typed-settings wraps some of the reasons in an exception of its own.
                reason = exc if exc.__cause__ is None else exc.__cause__
                text = reason.strerror if isinstance(reason, OSError) else f"this is not TOML: {reason}"
                raise SettingsError(
                    [f"can't read the file {str(path)!r} (named by {asked_by}): {text}"]
                ) from None
            section = whole.pop(SECTION, None)
            self._problems.extend(f"{key} is outside of [{SECTION}] in {path}" for key in whole)
            if not isinstance(section, dict):
                self._problems.append(f"{path} has no section [{SECTION}]")
                section = {}
            values = self._known(section, where=f"in {path}")
            for name, value in values.items():
                if self._fields[name].type is Path:
                    values[name] = _beside(path, value)
                elif name == "private_paths" and isinstance(value, list):
                    values[name] = [_beside(path, item) for item in value]
            return self._loaded(values, lambda _name: str(path))

        return load

    def environment(self) -> Loader:
        """Return a loader for the variables with our prefix."""

        def load(settings_cls: type, options: OptionList) -> LoadedSettings:  # noqa: ARG001 -- as in `check`
            known = {f"{ENV_PREFIX}{option.path.upper()}": option.path for option in options}
            values: SettingsDict = {}
            foreign = []
            for name, text in sorted(_environment().items()):
                if name in known:
                    values[known[name]] = text
                elif _is_service_variable(name, text):
                    foreign.append(name)
                elif name.startswith(ENV_PREFIX) and name not in OTHER_VARIABLES:
                    self._problems.append(
                        _unknown(name, [*known, CONFIG_VARIABLE], where="in the environment")
                    )
            if foreign:
                _log.info("variables of a service that is called greenroom, ignored: %s", ", ".join(foreign))
            return self._loaded(values, lambda name: f"{ENV_PREFIX}{name.upper()}")

        return load

    def values(self, values: Mapping[str, object], *, origin: str) -> Loader:
        """Return a loader for what is already at hand."""

        def load(settings_cls: type, options: OptionList) -> LoadedSettings:
            known = DictLoader(self._known(values, where=f"from {origin}"))
            return self._loaded(known(settings_cls, options).settings, lambda _name: origin)

        return load

    def check(
        self,
        settings_dict: SettingsDict,
        settings_cls: type,  # noqa: ARG002 -- typed-settings passes this and the next by position or name
        options: OptionList,  # noqa: ARG002
    ) -> SettingsDict:
        """Return the merged settings converted, or raise SettingsError. A processor of typed-settings.

        This comes before typed-settings' own conversion since that stops at the first value that the class
        refuses, and quotes values that must not be shown.
        """
        converted: dict[str, Any] = {}
        for name, raw in settings_dict.items():
            field = self._fields[name]
            value = _from_text(raw, field) if isinstance(raw, str) else raw
            convert, validate = cast("_Hooks", (field.converter, field.validator))
            converted[name] = convert(value) if convert else value
            if validate:
                with self._noting():
                    validate(None, field, converted[name])
        if not self._problems:
            with self._noting():
                DaemonSettings(**converted)
        if self._problems:
            raise SettingsError(self._problems)
        return converted

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except InvalidSetting as exc:
            self._problems.append(exc.describe(self._origins.get(exc.name.partition(".")[0])))

    def _known(self, values: Mapping[str, object], *, where: str) -> SettingsDict:
        self._problems.extend(
            _unknown(name, self._fields, where=where) for name in values if name not in self._fields
        )
        return {name: value for name, value in values.items() if name in self._fields}

    def _loaded(self, values: SettingsDict, origin: Callable[[str], str]) -> LoadedSettings:
        self._origins.update((name, origin(name)) for name in values)
        return LoadedSettings(values, LoaderMeta(type(self).__name__))


def _environment() -> dict[str, str]:
    """Return the variables that are set to something."""
    return {name: text for name, text in os.environ.items() if text.strip()}


def _is_service_variable(name: str, text: str) -> bool:
    """Tell whether Kubernetes or Docker has set this to tell where a service is."""
    if _SERVICE_VARIABLE.fullmatch(name):
        return True
    return bool(_SERVICE_PORT.fullmatch(name) and _SERVICE_ADDRESS.fullmatch(text))


def _from_text(text: str, field: "attrs.Attribute[Any]") -> object:
    """Return what the text stands for where the class does not read text itself, else the text."""
    with suppress(ValueError):
        if field.type is bool:
            return to_bool(text)
        if field.name == "selectors":
            return json.loads(text)
    return text


def _beside(file: Path, value: object) -> object:
    """Return a path that `file` names, counted from its directory."""
    return str(file.parent / value) if isinstance(value, str) and value and value[0] != "~" else value


def _unknown(name: str, known: Iterable[str], *, where: str) -> str:
    near = _MEANT.get(name) or difflib.get_close_matches(name, list(known), n=1)
    return f"{name} ({where}) is not a setting" + (f"; did you mean {near[0]}?" if near else "")
