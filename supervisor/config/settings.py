"""The settings of sessions and of the supervisor, with their defaults."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from greenroom.actors.browser.cells.sandbox import SandboxChoice
from greenroom.actors.browser.engines import EngineChoice
from greenroom.actors.profile.copy import DISPENSABLE
from greenroom.actors.profile.store import ProfileStore
from greenroom.actors.resources import Budget
from greenroom.supervisor.config.choices import OnLoginLost
from greenroom.supervisor.config.converters import (
    to_engine,
    to_int,
    to_names,
    to_on_login_lost,
    to_path,
    to_paths,
    to_sandbox,
    to_seconds,
    to_secret,
    to_secrets,
    to_selectors,
)
from greenroom.supervisor.config.validators import (
    InvalidSetting,
    check_choice,
    check_path,
    check_proxies,
    check_proxy,
    check_seconds,
    check_selectors,
    is_names,
    is_page_url,
    is_paths,
    is_seconds_or_zero,
    must,
    show,
    whole_number,
)
from greenroom.supervisor.places import NoPlace, default_clones_dir
from greenroom.supervisor.secret import Secret
from greenroom.supervisor.selectors import DEFAULT_SELECTORS


def _default_clones_dir() -> Path:
    try:
        return default_clones_dir()
    except NoPlace as exc:
        allowed = f"set here, such as by GREENROOM_CLONES_DIR: {exc}"
        raise InvalidSetting("clones_dir", "not set", allowed) from None


@attrs.frozen(kw_only=True, repr=False)
class TikTokSessionConfig:
    """How a session finds out whether it is logged in, and how long it may live. Times are in seconds."""

    login_detection_timeout: float = attrs.field(default=8.0, converter=to_seconds, validator=check_seconds)
    """The time for one try at the login verdict."""

    login_detection_retries: int = attrs.field(default=1, converter=to_int, validator=whole_number(0, 10))
    """How often to try again after a verdict of UNCERTAIN."""

    user_data_master_dir: Path = attrs.field(
        default=Path("user_data"), converter=to_path, validator=check_path
    )
    """The master profile. Only `greenroom login` and sessions in write mode change it. A relative path counts
    from the working directory."""

    max_session_duration: float = attrs.field(default=300.0, converter=to_seconds, validator=check_seconds)
    """A session's time, counted from the moment it is live."""

    tiktok_url: str = attrs.field(
        default="https://www.tiktok.com/",
        validator=must("an http or https URL with a host and without a user name or password", is_page_url),
    )
    """The page that a session opens and is judged by."""

    headless: bool = attrs.field(
        default=True, validator=must("true or false", lambda value: isinstance(value, bool))
    )
    """Whether the browser runs without a window."""

    selectors: Mapping[str, str] = attrs.field(
        factory=lambda: dict(DEFAULT_SELECTORS), converter=to_selectors, validator=check_selectors
    )
    """CSS selectors that show the login state. Those that are not given have their defaults."""

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
    """The supervisor's own settings too: limits, directories, and what to launch."""

    allow_restricted: bool = attrs.field(
        default=False, validator=must("true or false", lambda value: isinstance(value, bool))
    )
    """Whether to hand out sessions whose account is logged in, but behind a gate: terms, a check, a ban."""

    session_creation_timeout: float = attrs.field(default=30.0, converter=to_seconds, validator=check_seconds)
    """The time limit for creating a session, all of it, in seconds."""

    max_sessions: int = attrs.field(default=10, converter=to_int, validator=whole_number(1, 10_000))
    """How many sessions may exist at once, including those being created or ended."""

    max_launching: int = attrs.field(
        factory=lambda: os.cpu_count() or 1, converter=to_int, validator=whole_number(1, 1_000)
    )
    """How many sessions may launch at once; the default is the number of cores."""

    sessions_per_host: int = attrs.field(default=4, converter=to_int, validator=whole_number(1, 100))
    """How many sessions may share a browser host, a process that drives their browsers and ends with them."""

    max_extended_duration: float = attrs.field(default=3600.0, converter=to_seconds, validator=check_seconds)
    """A session's time with all its extensions; at least `max_session_duration`."""

    idle_timeout: float = attrs.field(
        default=0.0,
        converter=to_seconds,
        validator=must("a number of seconds, or 0 for no limit", is_seconds_or_zero),
    )
    """How long a session may go without a command before it ends; 0 for no limit."""

    on_login_lost: OnLoginLost = attrs.field(
        default=OnLoginLost.KEEP, converter=to_on_login_lost, validator=check_choice(OnLoginLost)
    )
    """Whether to keep or end a live session whose page shows that nobody is logged in any more."""

    recorder_seconds: float = attrs.field(
        default=60.0,
        converter=to_seconds,
        validator=must("a number of seconds, or 0 for no recorder", is_seconds_or_zero),
    )
    """How much of a session's last time goes into the bundle that is kept if it fails; 0 keeps none."""

    recorder_pictures: bool = attrs.field(
        default=False, validator=must("true or false", lambda value: isinstance(value, bool))
    )
    """Whether a bundle has a picture of each second. A site could notice that fields are blanked for them."""

    warm_sessions: int = attrs.field(default=1, converter=to_int, validator=whole_number(0, 100))
    """How many sessions to keep warm. They count towards `max_sessions`."""

    warm_max_age: float = attrs.field(default=600.0, converter=to_seconds, validator=check_seconds)
    """How long a session may stay warm, in seconds, before it is replaced."""

    profile_refresh: float = attrs.field(
        default=0.0,
        converter=to_seconds,
        validator=must("a number of seconds, or 0 for never", is_seconds_or_zero),
    )
    """How often to renew the login of each profile, while no session of it runs; 0 for never."""

    session_memory_mb: int = attrs.field(
        default=4096, converter=to_int, validator=whole_number(64, 1_048_576)
    )
    """How much memory (PSS, in MiB) a session's processes may use together."""

    session_processes: int = attrs.field(default=200, converter=to_int, validator=whole_number(8, 100_000))
    """How many processes a session may have."""

    session_disk_mb: int = attrs.field(default=4096, converter=to_int, validator=whole_number(1, 16_777_216))
    """How much disk space, in MiB, a session's clone and temporary files may take."""

    profiles_dir: Path | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(to_path),
        validator=attrs.validators.optional(check_path),
    )
    """Where named profiles are. If it is not set, that is beside the master profile, which is the one named
    `default`, in a directory named like it with `.profiles`."""

    clones_dir: Path = attrs.field(
        factory=_default_clones_dir,
        converter=to_path,
        validator=check_path,
    )
    """Where clones are made. Must be neither inside the master profile nor around it."""

    not_cloned: tuple[str, ...] = attrs.field(
        default=DISPENSABLE,
        converter=to_names,
        validator=must("a list of names of files or directories in a profile", is_names),
    )
    """The names of what is not copied of a profile, since sessions don't need it. Commits don't have it."""

    private_paths: tuple[Path, ...] = attrs.field(
        default=(), converter=to_paths, validator=must("a list of paths", is_paths)
    )
    """More paths that no browser may see, besides the master profile, the clones and the settings file."""

    proxy: Secret | None = attrs.field(default=None, repr=False, converter=to_secret, validator=check_proxy)
    """The proxy of every browser. May hold credentials: show only `redacted_proxy`."""

    profile_proxies: Mapping[str, Secret] = attrs.field(
        factory=dict, repr=False, converter=to_secrets, validator=check_proxies
    )
    """The proxies of some profiles, by their names, in place of `proxy`. They may hold credentials."""

    engine: EngineChoice = attrs.field(
        default=EngineChoice.AUTO, converter=to_engine, validator=check_choice(EngineChoice)
    )
    """The browser engine."""

    sandbox: SandboxChoice = attrs.field(
        default=SandboxChoice.AUTO, converter=to_sandbox, validator=check_choice(SandboxChoice)
    )
    """The sandbox of hosts and browsers."""

    def __attrs_post_init__(self) -> None:
        """Check the rules that involve several settings."""
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
        # Not Path.resolve: it raises on a symlink loop, which the profile's own check reports better.
        try:
            clones, master, profiles = (
                Path(os.path.realpath(path))
                for path in (self.clones_dir, self.user_data_master_dir, self.profiles.folder)
            )
        except FileNotFoundError:
            allowed = "absolute, as clones_dir, since the working directory is gone"
            raise InvalidSetting("user_data_master_dir", show(self.user_data_master_dir), allowed) from None
        for name, here, other, there in (
            ("clones_dir", clones, "user_data_master_dir", master),
            ("clones_dir", clones, "profiles_dir", profiles),
            ("profiles_dir", profiles, "user_data_master_dir", master),
        ):
            if here.is_relative_to(there) or there.is_relative_to(here):
                raise InvalidSetting(
                    name,
                    show(getattr(self, name)),
                    f"a directory apart from {other}, {show(getattr(self, other) or there)}: not in it, "
                    "not around it, not the same",
                )

    @property
    def profiles(self) -> ProfileStore:
        """The profiles that there are."""
        master = Path(os.path.realpath(self.user_data_master_dir))
        folder = self.profiles_dir or master.with_name(f"{master.name}.profiles")
        return ProfileStore(default=self.user_data_master_dir, folder=folder)

    @property
    def bundles_dir(self) -> Path:
        """Where what is kept of failed sessions is: beside the clones."""
        return self.clones_dir.with_name("bundles")

    @property
    def session_budget(self) -> Budget:
        """The limits of a session's browser; a browser host has the same for itself."""
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


def _default_of(field: "attrs.Attribute[Any]") -> object:
    """Return a setting's default. A default that depends on the machine is a factory, equal to no value."""
    return DEFAULT_SELECTORS if field.name == "selectors" else field.default
