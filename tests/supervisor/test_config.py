"""The settings' classes: defaults, conversion, and what is refused with which message."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from greenroom.actors.browser.cells.sandbox import SandboxChoice
from greenroom.actors.browser.engines import EngineChoice
from greenroom.supervisor.config import InvalidSetting, OnLoginLost, SupervisorConfig, TikTokSessionConfig
from greenroom.supervisor.config.validators import show
from greenroom.supervisor.places import default_clones_dir
from greenroom.supervisor.selectors import DEFAULT_SELECTORS

SECONDS = "a number of seconds above 0"
URL = "an http or https URL with a host and without a user name or password"
DIRECTORY = "the path of a directory"
PROXY = "a URL like http://user:password@host:port (http, https or socks5)"
ABOVE = "must be above login_detection_timeout, 8 seconds for one try, which is a part of it"
KEYS = "logged_in, logged_out, uncertain"


def make(**settings: Any) -> SupervisorConfig:
    """Build a config with values that a type checker would refuse."""
    return SupervisorConfig(**settings)


def test_nothing_set_gives_the_specified_defaults() -> None:
    """The session's settings have the specification's names and defaults."""
    assert attrs.asdict(TikTokSessionConfig()) == {
        "login_detection_timeout": 8,
        "login_detection_retries": 1,
        "user_data_master_dir": Path("./user_data"),
        "max_session_duration": 300,
        "tiktok_url": "https://www.tiktok.com/",
        "headless": True,
        "selectors": {
            "logged_in": "[data-e2e='profile-avatar']",
            "logged_out": "[data-e2e='login-button']",
            "uncertain": "body",
        },
    }


def test_nothing_set_gives_the_supervisor_its_defaults() -> None:
    """The supervisor's own limits and directories have defaults."""
    config = SupervisorConfig()
    assert (config.session_creation_timeout, config.max_sessions, config.proxy) == (30, 10, None)
    assert (config.engine, config.sandbox) == (EngineChoice.AUTO, SandboxChoice.AUTO)
    assert config.clones_dir == default_clones_dir()
    assert (config.max_extended_duration, config.idle_timeout) == (3600, 0)
    assert config.on_login_lost is OnLoginLost.KEEP


@pytest.mark.parametrize(
    ("name", "value", "shown", "allowed"),
    [
        ("login_detection_timeout", 0, "0.0", SECONDS),
        ("login_detection_timeout", -1.5, "-1.5", SECONDS),
        ("max_session_duration", float("inf"), "inf", SECONDS),
        ("max_session_duration", float("nan"), "nan", SECONDS),
        ("max_session_duration", True, "True", SECONDS),
        (
            "max_session_duration",
            1e12,
            "1000000000000.0",
            "at most 1e9 seconds",
        ),
        ("max_session_duration", "soon", "'soon'", SECONDS),
        ("session_creation_timeout", None, "None", SECONDS),
        ("login_detection_retries", -1, "-1", "a whole number from 0 to 10"),
        ("login_detection_retries", 11, "11", "a whole number from 0 to 10"),
        ("login_detection_retries", True, "True", "a whole number from 0 to 10"),
        ("max_sessions", 0, "0", "a whole number from 1 to 10000"),
        ("max_sessions", 10_001, "10001", "a whole number from 1 to 10000"),
        ("max_sessions", 2.5, "2.5", "a whole number from 1 to 10000"),
        ("max_sessions", "many", "'many'", "a whole number from 1 to 10000"),
        ("tiktok_url", "ftp://tiktok.com/", "'ftp://tiktok.com/'", URL),
        ("tiktok_url", "https:///path", "'https:///path'", URL),
        ("tiktok_url", "https://host:port/", "'https://host:port/'", URL),
        ("tiktok_url", "https://host:0/", "'https://host:0/'", URL),
        ("tiktok_url", "https://ho st/", "'https://ho st/'", URL),
        ("tiktok_url", "https://me:secret@host/", "'https://***@host/'", URL),
        ("tiktok_url", 5, "5", URL),
        ("headless", "no", "'no'", "true or false"),
        ("headless", 1, "1", "true or false"),
        ("allow_restricted", "yes", "'yes'", "true or false"),
        ("user_data_master_dir", "", "''", DIRECTORY),
        ("user_data_master_dir", "a\0b", r"'a\x00b'", DIRECTORY),
        ("user_data_master_dir", "~no-such-user/profile", "'~no-such-user/profile'", DIRECTORY),
        ("clones_dir", 7, "7", DIRECTORY),
        ("engine", "chrome", "'chrome'", "auto, camoufox or firefox"),
        ("sandbox", "docker", "'docker'", "auto, bubblewrap or none"),
        ("selectors", "body", "'body'", f"a table with the keys {KEYS}"),
        ("selectors", {"login": "a"}, "a table with the key 'login'", f"one with only the keys {KEYS}"),
    ],
)
def test_value_not_allowed_is_refused_with_the_allowed_ones(
    name: str, value: object, shown: str, allowed: str
) -> None:
    """An error names the setting, the value, and what is allowed."""
    with pytest.raises(InvalidSetting) as caught:
        make(**{name: value})
    assert str(caught.value) == f"{name} is {shown}, must be {allowed}"


@pytest.mark.parametrize("value", ["", "  ", 3, None])
def test_selector_empty_or_no_text_is_refused_by_its_own_name(value: object) -> None:
    """An error about one selector names that selector."""
    with pytest.raises(InvalidSetting) as caught:
        make(selectors={"uncertain": value})
    assert str(caught.value) == f"selectors.uncertain is {value!r}, must be a CSS selector, not empty"


def test_selectors_missing_are_filled_from_the_defaults() -> None:
    """You can set one selector without repeating the others."""
    selectors = make(selectors={"logged_in": "#me"}).selectors
    assert selectors == {**DEFAULT_SELECTORS, "logged_in": "#me"}


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:hunter2@host",
        "http://me:hunter2@:80",
        "http://me:hunter2@host:0",
        "http://me:hunter2@host:99999",
        "http://me:hun/ter2@host:80",
        "socks4://me:hunter2@host:80",
        "http://me:hunter2@host:80/path",
        "http://me:hunter2@host:80?query",
        "http://me:hunter2@ho st:80",
        "host:80:me:hunter2",
        "",
        80,
    ],
)
def test_proxy_not_allowed_is_refused_without_its_credentials(proxy: object) -> None:
    """The message shows nothing of the proxy, since an invalid one may have its password anywhere."""
    with pytest.raises(InvalidSetting) as caught:
        make(proxy=proxy)
    assert str(caught.value) == f"proxy is (hidden), must be {PROXY}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "proxies",
    [
        {"shop": "http://me:hunter2@host"},
        {"shop": "socks5://me:hunter2@host:80"},
        {"shop": None},
        {"Shop": "http://me:hunter2@host:80"},
        {"../shop": "http://me:hunter2@host:80"},
        ["http://me:hunter2@host:80"],
    ],
)
def test_proxies_of_profiles_not_allowed_are_refused_without_their_credentials(proxies: object) -> None:
    """A profile has a name, and a proxy is a URL."""
    with pytest.raises(InvalidSetting, match="profile_proxies is") as caught:
        make(profile_proxies=proxies)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("names", [[""], ["a/b"], [".."], [1], 5, ["a\0"]])
def test_what_is_not_cloned_are_names(names: object) -> None:
    """A path could name something deeper, which would be copied all the same."""
    with pytest.raises(InvalidSetting, match="not_cloned is"):
        make(not_cloned=names)
    assert make(not_cloned="cache2, a b").not_cloned == ("cache2", "a b")


def test_proxies_of_profiles_are_kept_and_not_shown() -> None:
    """Neither in the settings' text nor in an error about something else."""
    config = make(profile_proxies={"shop": "http://me:hunter2@host:80", "default": "socks5://host:80"})
    assert config.profile_proxies["shop"].reveal() == "http://me:hunter2@host:80"
    assert "hunter2" not in repr(config) + repr(config.profile_proxies)


@pytest.mark.parametrize(
    ("proxy", "redacted"),
    [
        (None, None),
        ("http://host:80", "http://host:80"),
        ("http://me:hunter2@host:80", "http://***@host:80"),
        ("https://me@host:443/", "https://***@host:443"),
        ("https://me:hun@ter2@[::1]:1080", "https://***@[::1]:1080"),
        ("socks5://[::1]:1080", "socks5://[::1]:1080"),
    ],
)
def test_proxy_is_kept_but_shown_without_credentials(proxy: str | None, redacted: str | None) -> None:
    """The proxy is logged without its user and password, and the settings' repr doesn't contain them."""
    config = make(proxy=proxy)
    assert (config.proxy, config.redacted_proxy) == (proxy, redacted)
    assert "proxy" not in repr(config)
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize("login", ["me:hunter2", "me", ":hunter2", ""])
def test_socks_proxy_with_a_login_is_refused_with_what_to_do(login: str) -> None:
    """Firefox can't log in to a SOCKS proxy, so every session would fail."""
    with pytest.raises(InvalidSetting) as caught:
        make(proxy=f"socks5://{login}@host:1080")
    assert str(caught.value) == (
        "proxy is (hidden), must be without a user and password if it is socks5, because Firefox can't log "
        "in to such a proxy: use the provider's http proxy, or run a forwarder without a password on this "
        "machine"
    )


def test_repr_shows_what_is_set_and_no_more() -> None:
    """A config's repr is one short line: what differs from the defaults, and what depends on the machine."""
    config = make(max_sessions=3, max_launching=2, clones_dir="/c", proxy="http://me:hunter2@host:80")
    assert repr(config) == "SupervisorConfig(max_sessions=3, max_launching=2, clones_dir='/c')"
    assert repr(TikTokSessionConfig(selectors={"logged_in": "#me"})).startswith(
        "TikTokSessionConfig(selectors={'logged_in': '#me', "
    )


# Settings that contradict each other.


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"max_sessions": 1, "warm_sessions": 3},
            "warm_sessions is 3, must be at most max_sessions, 1, among which they count",
        ),
        ({"session_creation_timeout": 5}, f"session_creation_timeout is 5.0, {ABOVE}"),
        ({"login_detection_timeout": 30}, f"session_creation_timeout is 30.0, {ABOVE.replace('8', '30')}"),
        (
            {"session_creation_timeout": 8, "login_detection_timeout": 8},
            f"session_creation_timeout is 8.0, {ABOVE}",
        ),
        (
            {"selectors": {"logged_in": "#me", "logged_out": "#me"}},
            "selectors.logged_in is '#me', must be different from logged_out",
        ),
        (
            {"selectors": {"logged_in": DEFAULT_SELECTORS["logged_out"]}},
            "selectors.logged_in is \"[data-e2e='login-button']\", must be different from logged_out",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], problem: str) -> None:
    """A contradiction is reported at start, not by every session."""
    with pytest.raises(InvalidSetting) as caught:
        make(**settings)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "settings",
    [
        {"max_sessions": 1},
        {"max_sessions": 3, "warm_sessions": 3},
        {"warm_sessions": 0, "max_sessions": 1, "sessions_per_host": 4, "max_launching": 8},
        {"session_creation_timeout": 8.1},
    ],
)
def test_settings_that_only_look_like_a_contradiction_are_allowed(settings: dict[str, Any]) -> None:
    """A limit that another limit makes unreachable does no harm."""
    make(**settings)


@pytest.mark.parametrize("selector", ["div[[", "div,", "div..x", "#1a", "div:not(.b", "a{}", "css=div[["])
def test_invalid_selector_is_refused(selector: str) -> None:
    """A selector that no browser accepts is reported at start."""
    with pytest.raises(InvalidSetting) as caught:
        make(selectors={"logged_in": selector})
    assert str(caught.value) == f"selectors.logged_in is {selector!r}, must be a valid CSS selector"


def test_numbers_as_text_are_converted() -> None:
    """Text from an environment variable becomes a number."""
    config = make(max_session_duration="12.5", session_creation_timeout=30, max_sessions="7")
    assert (config.max_session_duration, config.session_creation_timeout) == (12.5, 30.0)
    assert type(config.session_creation_timeout) is float
    assert config.max_sessions == 7


@pytest.mark.parametrize("value", ["firefox", "FireFox ", EngineChoice.FIREFOX])
def test_choice_by_text_is_converted(value: EngineChoice | str) -> None:
    """A choice may be given as text, in upper or lower case."""
    assert make(engine=value).engine is EngineChoice.FIREFOX


def test_sandbox_by_text_is_converted() -> None:
    """A sandbox may be given as text."""
    assert make(sandbox="none").sandbox is SandboxChoice.NONE


def test_paths_expand_the_home_and_stay_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path becomes a Path with ~ expanded. It is not made absolute."""
    monkeypatch.setenv("HOME", "/home/me")
    config = make(user_data_master_dir="~/profile", clones_dir="some/clones")
    assert (config.user_data_master_dir, config.clones_dir) == (Path("/home/me/profile"), Path("some/clones"))


@pytest.mark.parametrize(
    ("master", "clones"),
    [("profile", "profile"), ("profile", "profile/clones"), ("clones/profile", "clones"), ("a/../b", "b/c")],
    ids=["same", "inside", "around", "dots"],
)
def test_clones_and_master_not_apart_are_refused(tmp_path: Path, master: str, clones: str) -> None:
    """A clone must never be part of the master that is cloned, nor the master part of what is swept."""
    with pytest.raises(InvalidSetting) as caught:
        make(user_data_master_dir=tmp_path / master, clones_dir=tmp_path / clones)
    assert str(caught.value) == (
        f"clones_dir is '{tmp_path / clones}', must be a directory apart from user_data_master_dir, "
        f"'{tmp_path / master}': not in it, not around it, not the same"
    )


def test_clones_reaching_the_master_by_a_symlink_are_refused(tmp_path: Path) -> None:
    """Links are resolved before the paths are compared."""
    (tmp_path / "profile").mkdir()
    (tmp_path / "link").symlink_to("profile")
    with pytest.raises(InvalidSetting, match="apart from user_data_master_dir"):
        make(user_data_master_dir=tmp_path / "profile", clones_dir=tmp_path / "link" / "clones")


def test_clones_in_a_symlink_loop_are_left_to_the_profile(tmp_path: Path) -> None:
    """A loop is not an error here; the check of the profile reports it."""
    (tmp_path / "loop").symlink_to("loop")
    assert make(user_data_master_dir=tmp_path / "loop", clones_dir=tmp_path / "c").max_sessions == 10


def test_clones_beside_the_master_with_a_common_prefix_are_allowed(tmp_path: Path) -> None:
    """Only whole path components count."""
    config = make(user_data_master_dir=tmp_path / "profile", clones_dir=tmp_path / "profile-clones")
    assert config.clones_dir == tmp_path / "profile-clones"


def test_settings_cannot_be_changed() -> None:
    """A config is immutable."""
    config = make()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.max_sessions = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://me:pass/word@host/x", "'https://***@host/x'"),
        ("me:password@host:80", "'***@host:80'"),
        (["http://me:password@host"], "['http://***@host']"),
        (Path("/a/b"), "'/a/b'"),
        (EngineChoice.AUTO, "'auto'"),
        ("line\nline", r"'line\nline'"),
        ("x" * 300, "'" + "x" * 196 + "..."),
    ],
)
def test_value_is_shown_short_and_without_credentials(value: object, shown: str) -> None:
    """An error quotes a value as one short line, without a password."""
    assert show(value) == shown


def test_problem_with_a_known_source_names_it() -> None:
    """The message names the source beside the value."""
    problem = InvalidSetting("max_sessions", "0", "more")
    assert problem.describe("GREENROOM_MAX_SESSIONS") == (
        "max_sessions is 0 (from GREENROOM_MAX_SESSIONS), must be more"
    )
