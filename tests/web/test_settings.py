"""The daemon's settings: its own fields, the sources and their precedence, and the error messages."""

import logging
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from greenroom.actors.browser.engines import EngineChoice
from greenroom.supervisor.config import InvalidSetting
from greenroom.supervisor.secret import HIDDEN, Secret
from greenroom.supervisor.selectors import DEFAULT_SELECTORS
from greenroom.web.settings import DaemonSettings, SettingsError, load_settings
from tests.web.http.front import open_front

TOKEN = "correct-horse-battery"
BIND = "HOST:PORT or [IPv6]:PORT, the port from 0 to 65535, or unix:/PATH"
ORIGINS = "a list of origins, each scheme://host or scheme://host:port, without *"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the user who runs the tests."""
    for name in list(os.environ):
        if name.startswith("GREENROOM_") or name == "CAMOUFOX_USER_DATA_DIR":
            monkeypatch.delenv(name)


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text)
    return path


def problems_of(config_file: Path | None = None, **overrides: object) -> tuple[str, ...]:
    """Return the problems that loading the settings reports."""
    with pytest.raises(SettingsError) as caught:
        load_settings(config_file, overrides)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def make(**settings: Any) -> DaemonSettings:
    """Build the settings with values that a type checker would refuse."""
    return DaemonSettings(**settings)


# The daemon's own fields.


@pytest.mark.parametrize(
    ("bind", "address", "loopback"),
    [
        ("127.0.0.1:8700", ("127.0.0.1", 8700), True),
        ("127.9.9.9:0", ("127.9.9.9", 0), True),
        ("[::1]:65535", ("::1", 65535), True),
        ("localhost:80", ("localhost", 80), True),
        ("0.0.0.0:80", ("0.0.0.0", 80), False),
        ("[::]:80", ("::", 80), False),
        ("greenroom.example:80", ("greenroom.example", 80), False),
    ],
)
def test_bind_allowed_is_split(bind: str, address: tuple[str, int], loopback: bool) -> None:
    """An address gives its host, its port, and whether only this machine can reach it."""
    settings = make(bind=bind, token=TOKEN)
    assert (settings.address, settings.is_loopback) == (address, loopback)


@pytest.mark.parametrize(
    "bind",
    [
        "8700",
        ":8700",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "::1:80",
        "[::1]",
        "[::g]:80",
        "999.0.0.1:80",
        "ho st:80",
        "host:80\n",
        "http://host:80",
        "",
        8700,
    ],
)
def test_bind_not_an_address_is_refused(bind: object) -> None:
    """An address that can't be split is refused with the allowed form."""
    with pytest.raises(InvalidSetting) as caught:
        make(bind=bind, token=TOKEN)
    assert str(caught.value) == f"bind is {bind!r}, must be {BIND}"


@pytest.mark.parametrize("bind", ["0.0.0.0:8700", "[::]:8700", "10.0.0.1:8700", "example.org:8700"])
def test_bind_for_others_without_token_is_refused_with_what_to_do(bind: str) -> None:
    """Everybody who can reach the daemon can use the login, so other machines need a token.

    The settings themselves are fine: commands use them too, and may not have the daemon's token.
    """
    settings = make(bind=bind)
    with pytest.raises(InvalidSetting) as caught:
        settings.check_exposure()
    assert str(caught.value) == (
        f"bind is '{bind}', must be a loopback address such as 127.0.0.1:8700, since others can reach this "
        "one and no token is set. To let them in, set GREENROOM_TOKEN, 16 or more characters, "
        "or tokens_file"
    )


@pytest.mark.parametrize(
    "token", ["too-short", "fifteen-letters", "with spaces in it now", "pässwörter-sind-da", 10**20]
)
def test_token_too_weak_or_unfit_for_a_header_is_refused_unseen(token: object) -> None:
    """A refused token is not shown."""
    with pytest.raises(InvalidSetting) as caught:
        make(token=token)
    assert str(caught.value) == "token is (hidden), must be at least 16 ASCII characters without spaces"


def test_repr_shows_no_secrets() -> None:
    """Settings can be logged."""
    shown = repr(make(token=TOKEN, proxy="http://me:hunter2@host:80"))
    assert TOKEN not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([], ()),
        (["https://a.example", "http://b:8080"], ("https://a.example", "http://b:8080")),
        ("https://A.example, http://[::1]:3000,", ("https://a.example", "http://[::1]:3000")),
        (("moz-extension://0a1b",), ("moz-extension://0a1b",)),
    ],
)
def test_origins_allowed_are_kept_in_lower_case(given: Any, kept: tuple[str, ...]) -> None:
    """Origins come as a list or separated by commas, and are compared with what browsers send."""
    assert make(cors_origins=given).cors_origins == kept


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*.example",
        "https://a.example/",
        "https://a.example/x",
        "https://a.example:port",
        "https://a.example:",
        "https://a b",
        "https://",
        "https://me:pw@a.example",
        "a.example",
        "null",
        5,
    ],
)
def test_origin_not_allowed_is_refused(origin: object) -> None:
    """An origin is a scheme, a host and possibly a port, nothing more."""
    with pytest.raises(InvalidSetting) as caught:
        make(cors_origins=["https://fine.example", origin])
    assert str(caught.value).startswith("cors_origins is ('https://fine.example', ")
    assert str(caught.value).endswith(f", must be {ORIGINS}")
    assert "pw" not in str(caught.value)


def test_origins_not_a_list_are_refused() -> None:
    """A single value that isn't text doesn't become a list."""
    with pytest.raises(InvalidSetting, match=r"cors_origins is 5, must be a list of origins"):
        make(cors_origins=5)


# The sources.


def test_no_sources_give_the_defaults() -> None:
    """Nothing has to be set."""
    assert load_settings() == DaemonSettings()


def test_sources_that_disagree_are_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From weak to strong: defaults, the file, CAMOUFOX_USER_DATA_DIR, GREENROOM_*, the command line."""
    config = write(tmp_path / "c.toml", '[greenroom]\nuser_data_master_dir = "/file"\nmax_sessions = 2\n')
    assert load_settings().user_data_master_dir == Path("user_data")
    assert load_settings(config).user_data_master_dir == Path("/file")
    monkeypatch.setenv("CAMOUFOX_USER_DATA_DIR", "/camoufox")
    assert load_settings(config).user_data_master_dir == Path("/camoufox")
    monkeypatch.setenv("GREENROOM_USER_DATA_MASTER_DIR", "/greenroom")
    assert load_settings(config).user_data_master_dir == Path("/greenroom")
    settings = load_settings(config, {"user_data_master_dir": Path("/line"), "max_sessions": None})
    assert (settings.user_data_master_dir, settings.max_sessions) == (Path("/line"), 2)


def test_environment_text_becomes_what_each_setting_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is converted to numbers, switches, choices, lists and tables."""
    for name, text in {
        "MAX_SESSION_DURATION": "12.5",
        "MAX_SESSIONS": "3",
        "HEADLESS": "no",
        "ENGINE": "firefox",
        "CORS_ORIGINS": "https://a.example,https://b.example",
        "SELECTORS": '{"logged_in": "#me"}',
        "TOKEN": TOKEN,
        "PROXY": "http://me:hunter2@host:80",
    }.items():
        monkeypatch.setenv(f"GREENROOM_{name}", text)
    settings = load_settings()
    assert (settings.max_session_duration, settings.max_sessions, settings.headless) == (12.5, 3, False)
    assert settings.engine is EngineChoice.FIREFOX
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.selectors == {**DEFAULT_SELECTORS, "logged_in": "#me"}
    assert (settings.token, settings.redacted_proxy) == (Secret(TOKEN), "http://***@host:80")


def test_file_named_by_the_environment_is_read_unless_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GREENROOM_CONFIG names the file, unless the command line names one."""
    named = write(tmp_path / "named.toml", "[greenroom]\nmax_sessions = 2\n")
    asked = write(tmp_path / "asked.toml", "[greenroom]\nmax_sessions = 3\n")
    monkeypatch.setenv("GREENROOM_CONFIG", str(named))
    assert load_settings().max_sessions == 2
    assert load_settings(asked).max_sessions == 3


def test_file_with_tables_and_lists_is_read(tmp_path: Path) -> None:
    """TOML's own types are accepted as they are."""
    config = write(
        tmp_path / "c.toml",
        '[greenroom]\nheadless = false\ncors_origins = ["https://a.example"]\nmax_session_duration = 60\n'
        '[greenroom.selectors]\nlogged_out = "#login"\n',
    )
    settings = load_settings(config)
    assert (settings.headless, settings.cors_origins) == (False, ("https://a.example",))
    assert settings.max_session_duration == 60.0
    assert settings.selectors == {**DEFAULT_SELECTORS, "logged_out": "#login"}


def test_file_with_relative_paths_counts_them_from_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file means the same wherever the daemon is started."""
    monkeypatch.setenv("HOME", "/home/me")
    config = write(
        tmp_path / "c.toml",
        '[greenroom]\nuser_data_master_dir = "profile"\nclones_dir = "~/clones"\n'
        'profiles_dir = "more"\n[greenroom.profile_proxies]\nshop = "http://host:80"\n',
    )
    settings = load_settings(config)
    assert (settings.user_data_master_dir, settings.clones_dir, settings.profiles_dir) == (
        tmp_path / "profile",
        Path("/home/me/clones"),
        tmp_path / "more",
    )
    assert settings.profile_proxies == {"shop": "http://host:80"}
    monkeypatch.setenv("GREENROOM_PROFILE_PROXIES", '{"a": "http://other:80"}')
    assert load_settings(config).profile_proxies == {"a": "http://other:80"}


# Messages to the user.


def test_file_is_private_and_so_are_paths_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No browser may see the token in the file, whoever named it. The file can name other secret files."""
    file = tmp_path / "greenroom.toml"
    file.write_text('[greenroom]\nprivate_paths = ["keys", "/srv/keys"]\n')
    named = (tmp_path / "keys", Path("/srv/keys"))
    assert load_settings(file).private_paths == (*named, file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENROOM_CONFIG", "greenroom.toml")
    assert load_settings().private_paths[-1] == file
    monkeypatch.setenv("GREENROOM_PRIVATE_PATHS", "/a, /b")
    assert load_settings().private_paths == (Path("/a"), Path("/b"), file)


@pytest.mark.parametrize("value", [5, ["/a", 5], ["~nobody-of-this-name/x"]])
def test_invalid_private_paths_are_refused(value: object) -> None:
    """A mistake in a path must not leave a secret unprotected."""
    with pytest.raises(InvalidSetting, match=r"private_paths is .* must be a list of paths"):
        make(private_paths=value)


def test_values_not_allowed_are_all_reported_with_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run reports every problem, and where each value came from."""
    config = write(
        tmp_path / "c.toml",
        '[greenroom]\nmax_sessions = 0\nheadless = "maybe"\n[greenroom.selectors]\nuncertain = ""\n',
    )
    monkeypatch.setenv("GREENROOM_ENGINE", "chrome")
    monkeypatch.setenv("CAMOUFOX_USER_DATA_DIR", "~x")
    assert sorted(problems_of(config, bind="nowhere", max_session_duration=-1)) == sorted(
        [
            f"max_sessions is 0 (from {config}), must be a whole number from 1 to 10000",
            f"headless is 'maybe' (from {config}), must be true or false",
            f"selectors.uncertain is '' (from {config}), must be a CSS selector, not empty",
            "engine is 'chrome' (from GREENROOM_ENGINE), must be auto, camoufox or firefox",
            "user_data_master_dir is '~x' (from CAMOUFOX_USER_DATA_DIR), must be the path of a directory",
            f"bind is 'nowhere' (from the command line), must be {BIND}",
            "max_session_duration is -1.0 (from the command line), must be a number of seconds above 0",
        ]
    )


@pytest.mark.parametrize("grace", ["soon", "nan", "-1", "inf"])
def test_grace_not_allowed_is_reported_as_such(monkeypatch: pytest.MonkeyPatch, grace: str) -> None:
    """Text that is no number is reported like a wrong number."""
    monkeypatch.setenv("GREENROOM_DRAIN_GRACE", grace)
    (problem,) = problems_of()
    assert problem.endswith("(from GREENROOM_DRAIN_GRACE), must be a number of seconds, 0 or more")


def test_bad_value_overridden_by_a_good_one_is_no_problem(tmp_path: Path) -> None:
    """Only the value that wins has to be valid."""
    config = write(tmp_path / "c.toml", "[greenroom]\nmax_sessions = 0\n")
    assert load_settings(config, {"max_sessions": 4}).max_sessions == 4


def test_invalid_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused token or proxy is not printed, nor is a valid one beside another problem."""
    monkeypatch.setenv("GREENROOM_TOKEN", "hunter2")
    monkeypatch.setenv("GREENROOM_PROXY", "http://me:hunter2@host")
    problems = problems_of(max_sessions=0)
    assert len(problems) == 3
    assert (
        "token is (hidden) (from GREENROOM_TOKEN), must be at least 16 ASCII characters without spaces"
        in problems
    )
    assert "hunter2" not in "\n".join(problems)


def test_settings_that_do_not_go_together_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule about two settings is reported with the source of the one to change."""
    monkeypatch.setenv("GREENROOM_WARM_SESSIONS", "20")
    (problem,) = problems_of()
    assert problem.startswith(
        "warm_sessions is 20 (from GREENROOM_WARM_SESSIONS), must be at most max_sessions"
    )
    monkeypatch.setenv("GREENROOM_MAX_SESSIONS", "20")
    assert load_settings().warm_sessions == 20


def test_names_unknown_are_refused_with_a_near_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo never passes silently."""
    config = write(tmp_path / "c.toml", "debug = 1\n[greenroom]\nmax_sesions = 3\nzzz = 1\n")
    monkeypatch.setenv("GREENROOM_MAX_SESSION", "3")
    monkeypatch.setenv("GREENROOM_CONFG", "x")
    assert problems_of(config, enginee="auto") == (
        f"debug is outside of [greenroom] in {config}",
        f"max_sesions (in {config}) is not a setting; did you mean max_sessions?",
        f"zzz (in {config}) is not a setting",
        "GREENROOM_CONFG (in the environment) is not a setting; did you mean GREENROOM_CONFIG?",
        "GREENROOM_MAX_SESSION (in the environment) is not a setting; did you mean GREENROOM_MAX_SESSIONS?",
        "enginee (from the command line) is not a setting; did you mean engine?",
    )


def test_environment_variables_that_are_not_settings_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker on a session's processes is not a setting, and neither is an empty name."""
    monkeypatch.setenv("GREENROOM_CELL", "1234")
    monkeypatch.setenv("GREENROOM_CONFIG", "")
    monkeypatch.setenv("CAMOUFOX_USER_DATA_DIR", "")
    assert load_settings() == DaemonSettings()


@pytest.mark.parametrize("blank", ["", " ", "\t\n"], ids=["empty", "space", "lines"])
def test_variables_empty_or_blank_are_not_set(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """Compose passes on variables that its own environment lacks as empty. They set nothing."""
    names = [f"GREENROOM_{field.name.upper()}" for field in attrs.fields(DaemonSettings)]
    for name in (*names, "GREENROOM_CONFIG", "CAMOUFOX_USER_DATA_DIR", "GREENROOM_NO_SETTING"):
        monkeypatch.setenv(name, blank)
    assert load_settings() == DaemonSettings()


def test_empty_variable_does_not_override_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that sets nothing hides nothing."""
    config = write(tmp_path / "c.toml", '[greenroom]\nmax_sessions = 3\nproxy = "http://host:80"\n')
    monkeypatch.setenv("GREENROOM_MAX_SESSIONS", "")
    monkeypatch.setenv("GREENROOM_PROXY", "")
    settings = load_settings(config)
    assert (settings.max_sessions, settings.redacted_proxy) == (3, "http://host:80")


def test_variables_of_a_service_are_ignored_with_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kubernetes tells every container where services called greenroom, or greenroom-web, are."""
    for name, value in {
        "GREENROOM_SERVICE_HOST": "10.96.0.7",
        "GREENROOM_SERVICE_PORT": "8700",
        "GREENROOM_SERVICE_PORT_HTTP": "8700",
        "GREENROOM_PORT": "tcp://10.96.0.7:8700",
        "GREENROOM_PORT_8700_TCP": "tcp://10.96.0.7:8700",
        "GREENROOM_PORT_8700_TCP_PROTO": "tcp",
        "GREENROOM_PORT_8700_TCP_PORT": "8700",
        "GREENROOM_PORT_8700_TCP_ADDR": "10.96.0.7",
        "GREENROOM_WEB_SERVICE_HOST": "fd00::7",
        "GREENROOM_WEB_PORT": "udp://[fd00::7]:8700",
        "GREENROOM_WEB_PORT_53_UDP_ADDR": "fd00::7",
    }.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.INFO):
        assert load_settings() == DaemonSettings()
    (line,) = caplog.messages
    assert line.startswith("ignored variables of a service called greenroom: GREENROOM_PORT, ")
    assert line.count("GREENROOM_") == 11


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("GREENROOM_PORT", "GREENROOM_BIND"),
        ("GREENROOM_BINDD", "GREENROOM_BIND"),
        ("GREENROOM_SERVICE_HOSTS", None),
        ("GREENROOM_WARM_SESSION", "GREENROOM_WARM_SESSIONS"),
    ],
)
def test_misspelled_variable_stays_an_error_beside_a_service(
    monkeypatch: pytest.MonkeyPatch, name: str, near: str | None
) -> None:
    """Only variables that look exactly like a service's are ignored."""
    monkeypatch.setenv("GREENROOM_SERVICE_HOST", "10.96.0.7")
    monkeypatch.setenv(name, "8700")
    (problem,) = problems_of()
    assert problem.startswith(f"{name} (in the environment) is not a setting")
    assert near is None or problem.endswith(f"did you mean {near}?")


async def test_token_is_compared_by_its_value_not_by_what_is_shown() -> None:
    """The text that stands for a secret in a log opens nothing."""
    async with open_front(token=TOKEN) as front:
        for token, status in ((HIDDEN, 401), (repr(Secret(TOKEN)), 401), (TOKEN, 200)):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await front.client.get("/tiktok/session", headers=headers)).status_code == status


@pytest.mark.parametrize("text", ["", "[greenrom]\n", "greenroom = 3\n"])
def test_file_without_the_section_is_refused(tmp_path: Path, text: str) -> None:
    """A file that would set nothing is a mistake."""
    config = write(tmp_path / "c.toml", text)
    assert problems_of(config)[-1] == f"{config} has no section [greenroom]"


def test_missing_file_is_reported_with_who_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is asked for has to exist."""
    config = tmp_path / "none.toml"
    assert problems_of(config) == (
        f"can't read the file '{config}' (named by the command line): No such file or directory",
    )
    monkeypatch.setenv("GREENROOM_CONFIG", str(config))
    assert problems_of() == (
        f"can't read the file '{config}' (named by GREENROOM_CONFIG): No such file or directory",
    )


def test_file_in_an_unknown_users_home_is_reported_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~ that can't be expanded is not a crash."""
    monkeypatch.setenv("GREENROOM_CONFIG", "~nobody-here/c.toml")
    assert problems_of() == (
        "can't read the file '~nobody-here/c.toml' (named by GREENROOM_CONFIG): No such file or directory",
    )


def test_file_that_is_a_directory_is_reported(tmp_path: Path) -> None:
    """The message has the system's own reason."""
    assert problems_of(tmp_path) == (
        f"can't read the file '{tmp_path}' (named by the command line): Is a directory",
    )


@pytest.mark.parametrize(
    "content", [b"[greenroom\n", b'[greenroom]\ntoken = "\xff"\n'], ids=["syntax", "encoding"]
)
def test_malformed_file_is_reported_as_not_toml(tmp_path: Path, content: bytes) -> None:
    """A broken file gives one line."""
    config = tmp_path / "c.toml"
    config.write_bytes(content)
    (problem,) = problems_of(config)
    assert problem.startswith(
        f"can't read the file '{config}' (named by the command line): this is not TOML: "
    )
    assert "\n" not in problem
