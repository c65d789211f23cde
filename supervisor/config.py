"""The settings, their allowed values and their defaults.

The classes here can be used alone: a Python developer who builds one directly gets the same checks
and the same messages as the operator whose settings come from files and the environment. A converter only
brings a value into its type where that can be done without guessing, and leaves it alone otherwise; all
refusing is done by validators, with `InvalidSetting`.
"""

import enum
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard, cast
from urllib.parse import urlsplit

import attrs

from greenroom.actors.browser.cells.sandbox import SandboxChoice
from greenroom.actors.browser.engines import EngineChoice
from greenroom.actors.resources import Budget
from greenroom.supervisor.places import NoPlace, default_clones_dir
from greenroom.supervisor.secret import HIDDEN, Secret
from greenroom.supervisor.selectors import is_selector

DEFAULT_SELECTORS: Final[Mapping[str, str]] = {
    "logged_in": "[data-e2e='profile-avatar']",
    "logged_out": "[data-e2e='login-button']",
    "uncertain": "body",
}


class InvalidSetting(ValueError):
    """A setting has a value that is not allowed.

    `shown` is the value as a person may see it: never a secret. `allowed` continues the sentence "must be".
    """

    def __init__(self, name: str, shown: str, allowed: str) -> None:
        super().__init__(name, shown, allowed)
        self.name = name
        self.shown = shown
        self.allowed = allowed

    def __str__(self) -> str:
        return self.describe()

    def describe(self, source: str | None = None) -> str:
        """Return the problem as one line, with the `source` of the value where it is known."""
        came_from = f" (from {source})" if source else ""
        return f"{self.name} is {self.shown}{came_from}, must be {self.allowed}"


# Validators: attrs calls them with the instance, the attribute and the value.

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def must(allowed: str, holds: Callable[[Any], bool], *, secret: bool = False) -> Validator:
    """Return a validator that refuses what `holds` is false for, saying that it must be `allowed`.

    `holds` may also raise ValueError or TypeError for a value that it can make nothing of.
    """

    def validate(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        try:
            fine = holds(value)
        except (TypeError, ValueError):
            fine = False
        if not fine:
            raise InvalidSetting(attribute.name, HIDDEN if secret else show(value), allowed) from None

    return validate


# What may be a user name and password: all from // to the last @, or a word, a colon and more before an @.
_CREDENTIALS = re.compile(r"""(?:(?<=//)[^'"]*|[^\s'"/:]+:(?!//)[^\s'"]*)@""")


def show(value: object) -> str:
    """Return a value as an error may quote it: short, on one line, without what may be a password."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Path):
        value = str(value)
    text = _CREDENTIALS.sub("***@", repr(value))
    return text if len(text) <= 200 else f"{text[:197]}..."


def whole_number(low: int, high: int) -> Validator:
    """Return a validator for an int between the two, both allowed."""
    return must(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def is_plain(value: object) -> TypeGuard[str]:
    """Return whether a text has no spaces or control characters, which `urlsplit` drops silently."""
    return isinstance(value, str) and value.isprintable() and not any(c.isspace() for c in value)


def _is_seconds(value: object) -> bool:
    return type(value) is float and math.isfinite(value) and value > 0


def _is_page_url(value: object) -> bool:
    if not is_plain(value):
        return False
    url = urlsplit(value)
    # Asking for the port raises ValueError when it is none.
    return url.scheme in {"http", "https"} and bool(url.hostname) and "@" not in url.netloc and url.port != 0


def _is_proxy(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, Secret) or not is_plain(value.reveal()):
        return False
    url = urlsplit(value.reveal())
    return (
        url.scheme in {"http", "https", "socks5"}
        and bool(url.hostname)
        and bool(url.port)
        and not url.path.strip("/")
        and not url.query
        and not url.fragment
    )


def _can_log_in(value: Secret | None) -> bool:
    url = urlsplit(value.reveal() if value else "")
    return url.scheme != "socks5" or "@" not in url.netloc


def _is_directory_path(value: object) -> bool:
    # A leading ~ is what expanduser leaves of a user that does not exist.
    return isinstance(value, Path) and "\0" not in str(value) and not str(value).startswith("~")


def _is_paths(value: object) -> bool:
    return isinstance(value, tuple) and all(_is_directory_path(path) for path in value)


def _check_selectors(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    names = ", ".join(DEFAULT_SELECTORS)
    if not isinstance(value, Mapping):
        raise InvalidSetting(attribute.name, show(value), f"a table with the keys {names}")
    for key, selector in value.items():
        if key not in DEFAULT_SELECTORS:
            raise InvalidSetting(
                attribute.name, f"a table with the key {key!r}", f"one with only the keys {names}"
            )
        if not isinstance(selector, str) or not selector.strip():
            raise InvalidSetting(f"{attribute.name}.{key}", show(selector), "a CSS selector, not empty")
        if not is_selector(selector):
            raise InvalidSetting(f"{attribute.name}.{key}", show(selector), "a valid CSS selector")
    if value.get("logged_in") == value.get("logged_out"):
        shown = show(value.get("logged_in"))
        raise InvalidSetting(f"{attribute.name}.logged_in", shown, "another selector than logged_out")


def _check_choice(choices: type[enum.Enum]) -> Validator:
    *some, last = (choice.value for choice in choices)
    return must(f"{', '.join(some)} or {last}", lambda value: isinstance(value, choices))


_check_seconds = attrs.validators.and_(
    must("a number of seconds above 0", _is_seconds),
    must("1e9 seconds at most: no clock shows the end of more", lambda value: value <= 1e9),
)
_check_path = must("the path of a directory", _is_directory_path)
_check_proxy = attrs.validators.and_(
    must("a URL like http://user:password@host:port (http, https or socks5)", _is_proxy, secret=True),
    must(
        "without user and password where it is socks5, since Firefox can't log in to one: use the provider's "
        "http proxy, or run a forwarder without a password on this machine",
        _can_log_in,
        secret=True,
    ),
)


def _default_of(field: "attrs.Attribute[Any]") -> object:
    """Return a setting's default; one that is found out on this machine equals no value."""
    return DEFAULT_SELECTORS if field.name == "selectors" else field.default


# Converters: each returns what it can't convert as it is, for the validator to refuse. Their parameters say
# what a type checker should let pass.


def to_secret(value: Secret | str | None) -> Secret | None:
    """Return a text as a secret."""
    return Secret(value) if isinstance(value, str) else value


def _to_seconds(value: float | str) -> float:
    return cast("float", _number_from(value, float))


def _to_int(value: int | str) -> int:
    return cast("int", _number_from(value, int) if isinstance(value, str) else value)


def _number_from(value: object, kind: type[float] | type[int]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return value


def _to_path(value: os.PathLike[str] | str) -> Path:
    return cast("Path", _path_from(value))


def _path_from(value: object) -> object:
    if not isinstance(value, str | os.PathLike) or value == "":  # Path("") would be the working directory
        return value
    path = Path(value)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _to_paths(value: Iterable[os.PathLike[str] | str] | str) -> tuple[Path, ...]:
    return cast("tuple[Path, ...]", _paths_from(value))


def _paths_from(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return tuple(map(_path_from, value)) if isinstance(value, list | tuple) else value


def _to_selectors(value: Mapping[str, str]) -> Mapping[str, str]:
    return cast("Mapping[str, str]", _with_default_selectors(value))


def _with_default_selectors(value: object) -> object:
    return {**DEFAULT_SELECTORS, **value} if isinstance(value, Mapping) else value


def _to_engine(value: EngineChoice | str) -> EngineChoice:
    return cast("EngineChoice", _choice_from(value, EngineChoice))


def _to_sandbox(value: SandboxChoice | str) -> SandboxChoice:
    return cast("SandboxChoice", _choice_from(value, SandboxChoice))


def _choice_from(value: object, choices: type[enum.Enum]) -> object:
    if not isinstance(value, str):
        return value
    return next((choice for choice in choices if choice.value == value.strip().lower()), value)


def _default_clones_dir() -> Path:
    try:
        return default_clones_dir()
    except NoPlace as exc:
        allowed = f"set here, such as by GREENROOM_CLONES_DIR: {exc}"
        raise InvalidSetting("clones_dir", "not set", allowed) from None


# The settings.


@attrs.frozen(kw_only=True, repr=False)
class TikTokSessionConfig:
    """How one session finds out whether it is logged in, and how long it may live. Times are in seconds."""

    login_detection_timeout: float = attrs.field(default=8.0, converter=_to_seconds, validator=_check_seconds)
    """The time for one try at the login verdict."""

    login_detection_retries: int = attrs.field(default=1, converter=_to_int, validator=whole_number(0, 10))
    """How often to try again after a verdict of UNCERTAIN."""

    user_data_master_dir: Path = attrs.field(
        default=Path("user_data"), converter=_to_path, validator=_check_path
    )
    """The master profile; it is only ever read. A relative path counts from the working directory."""

    max_session_duration: float = attrs.field(default=300.0, converter=_to_seconds, validator=_check_seconds)
    """A session's time, counted from the moment it is live."""

    tiktok_url: str = attrs.field(
        default="https://www.tiktok.com/",
        validator=must("an http or https URL with a host and without a user name or password", _is_page_url),
    )
    """The page that a session opens and is judged by."""

    headless: bool = attrs.field(
        default=True, validator=must("true or false", lambda value: isinstance(value, bool))
    )
    """Whether the browser runs without a window."""

    selectors: Mapping[str, str] = attrs.field(
        factory=lambda: dict(DEFAULT_SELECTORS), converter=_to_selectors, validator=_check_selectors
    )
    """CSS selectors that tell the login state; one that is not given is the default."""

    def __repr__(self) -> str:
        """Show what differs from the defaults, without secrets."""
        set_here = (
            f"{field.name}={show(value)}"
            for field in attrs.fields(type(self))
            if field.repr and (value := getattr(self, field.name)) != _default_of(field)
        )
        return f"{type(self).__name__}({', '.join(set_here)})"


@attrs.frozen(kw_only=True, repr=False)
class SupervisorConfig(TikTokSessionConfig):
    """What the supervisor needs to know besides: limits, places, and what to launch."""

    allow_restricted: bool = attrs.field(
        default=False, validator=must("true or false", lambda value: isinstance(value, bool))
    )
    """Whether to hand out sessions whose account is logged in, but behind a gate: terms, a check, a ban."""

    session_creation_timeout: float = attrs.field(
        default=30.0, converter=_to_seconds, validator=_check_seconds
    )
    """The time for all of a session's creation, in seconds."""

    max_sessions: int = attrs.field(default=10, converter=_to_int, validator=whole_number(1, 10_000))
    """How many sessions may exist at once, those being created or ended included."""

    max_launching: int = attrs.field(
        factory=lambda: os.cpu_count() or 1, converter=_to_int, validator=whole_number(1, 1_000)
    )
    """How many sessions may launch at once; the default is the number of cores."""

    sessions_per_host: int = attrs.field(default=4, converter=_to_int, validator=whole_number(1, 100))
    """How many sessions may share a browser host, a process that drives their browsers and ends with them."""

    warm_sessions: int = attrs.field(default=1, converter=_to_int, validator=whole_number(0, 100))
    """How many sessions are launched ahead of any request; they count among `max_sessions`."""

    warm_max_age: float = attrs.field(default=600.0, converter=_to_seconds, validator=_check_seconds)
    """How long a session launched ahead may wait, in seconds, before it is replaced."""

    session_memory_mb: int = attrs.field(
        default=4096, converter=_to_int, validator=whole_number(64, 1_048_576)
    )
    """How much memory (PSS, in MiB) a session's processes may use together."""

    session_processes: int = attrs.field(default=200, converter=_to_int, validator=whole_number(8, 100_000))
    """How many processes a session may have."""

    session_disk_mb: int = attrs.field(default=4096, converter=_to_int, validator=whole_number(1, 16_777_216))
    """How much disk space, in MiB, a session's clone and temporary files may take."""

    clones_dir: Path = attrs.field(
        factory=_default_clones_dir,
        converter=_to_path,
        validator=_check_path,
    )
    """Where clones are made; neither inside the master profile nor around it."""

    private_paths: tuple[Path, ...] = attrs.field(
        default=(), converter=_to_paths, validator=must("a list of paths", _is_paths)
    )
    """What no browser may see, besides the master profile, the clones and the file with the settings."""

    proxy: Secret | None = attrs.field(default=None, repr=False, converter=to_secret, validator=_check_proxy)
    """The proxy of every browser. May hold credentials: show only `redacted_proxy`."""

    engine: EngineChoice = attrs.field(
        default=EngineChoice.AUTO, converter=_to_engine, validator=_check_choice(EngineChoice)
    )
    """The browser engine."""

    sandbox: SandboxChoice = attrs.field(
        default=SandboxChoice.AUTO, converter=_to_sandbox, validator=_check_choice(SandboxChoice)
    )
    """The sandbox of hosts and browsers."""

    def __attrs_post_init__(self) -> None:
        """Check what no setting shows alone."""
        self._check_numbers()
        self._check_directories()

    def _check_numbers(self) -> None:
        if self.warm_sessions > self.max_sessions:
            raise InvalidSetting(
                "warm_sessions",
                show(self.warm_sessions),
                f"at most max_sessions, {self.max_sessions}, among which they count",
            )
        if self.session_creation_timeout <= self.login_detection_timeout:
            raise InvalidSetting(
                "session_creation_timeout",
                show(self.session_creation_timeout),
                f"above login_detection_timeout, {self.login_detection_timeout:g} seconds for one try, "
                "which is a part of it",
            )

    def _check_directories(self) -> None:
        # Not Path.resolve: it raises on a symlink loop, which is for the profile's own check to name.
        try:
            clones, master = (
                Path(os.path.realpath(path)) for path in (self.clones_dir, self.user_data_master_dir)
            )
        except FileNotFoundError:
            allowed = "absolute, as clones_dir, since the working directory is gone"
            raise InvalidSetting("user_data_master_dir", show(self.user_data_master_dir), allowed) from None
        if clones.is_relative_to(master) or master.is_relative_to(clones):
            apart = (
                f"a directory apart from user_data_master_dir, {show(self.user_data_master_dir)}: not in it, "
            )
            raise InvalidSetting("clones_dir", show(self.clones_dir), f"{apart}not around it, not the same")

    @property
    def session_budget(self) -> Budget:
        """What a session's browser may use, and what a browser host may besides."""
        return Budget(
            memory_bytes=self.session_memory_mb << 20,
            processes=self.session_processes,
            disk_bytes=self.session_disk_mb << 20,
        )

    @property
    def redacted_proxy(self) -> str | None:
        """The proxy without its credentials, fit for a log: `http://***@host:port`."""
        if self.proxy is None:
            return None
        url = urlsplit(self.proxy.reveal())
        credentials, at, address = url.netloc.rpartition("@")
        return f"{url.scheme}://{'***' if credentials else ''}{at}{address}"
