"""The file of tokens: what it may hold, and that its errors name the problem but no secret."""

import os
from pathlib import Path

import pytest

from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.secret import Secret
from greenroom.web.commands.serve import open_daemon
from greenroom.web.http.token_file import read_tokens
from greenroom.web.http.tokens import Scope, Token
from greenroom.web.settings import DaemonSettings, SettingsError

CANARY = "canary-of-a-token-0001"
OTHER = "another-token-of-some-length"


def settings_for(
    path: Path, text: str | bytes, mode: int = 0o600, token: str | None = None
) -> DaemonSettings:
    """Write the file and return settings that name it."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return DaemonSettings(tokens_file=path, token=token)


def refusal(settings: DaemonSettings) -> str:
    """Return what is said of a file that can't be used."""
    with pytest.raises(SettingsError) as caught:
        read_tokens(settings)
    text = str(caught.value)
    assert CANARY not in text
    return text


def test_tokens_have_names_scopes_profiles_and_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret is in the file or in the environment; the setting `token` is the operator's."""
    monkeypatch.setenv("WORKER_TOKEN", OTHER)
    settings = settings_for(
        tmp_path / "tokens.toml",
        f"""
        [grafana]
        token = "{CANARY}"
        scope = "read"

        [worker]
        env = "WORKER_TOKEN"
        scope = "control"
        profiles = ["work", "default"]
        max_sessions = 2
        requests_per_minute = 60
        """,
        token="the-operator-s-own-token",
    )
    assert read_tokens(settings) == (
        Token(name="operator", secret=Secret("the-operator-s-own-token"), scope=Scope.ADMIN),
        Token(name="grafana", secret=Secret(CANARY), scope=Scope.READ),
        Token(
            name="worker",
            secret=Secret(OTHER),
            scope=Scope.CONTROL,
            profiles=frozenset({"work", "default"}),
            max_sessions=2,
            requests_per_minute=60,
        ),
    )
    assert CANARY not in repr(read_tokens(settings))


def test_without_a_file_there_is_the_setting_or_nothing() -> None:
    """Nothing means that everybody is let in, which only loopback allows."""
    assert read_tokens(DaemonSettings()) == ()
    assert [token.name for token in read_tokens(DaemonSettings(token=OTHER))] == ["operator"]


GOOD = f'token = "{CANARY}"\nscope = "read"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no tokens"),
        (f'[a]\ntoken = "{CANARY}', "this is not TOML"),
        (f"[a]\ntoken = {CANARY}", "this is not TOML: see line 2, column 9"),
        (b"[a]\ntoken = '\xff'", "this is not TOML"),
        (f'token = "{CANARY}"', "[token]: what is in it is not as docs/access.md says"),
        (f'[a]\ntoken = "{CANARY}"', "[a]: what is in it is not as docs/access.md says"),
        (f'[a]\ntoken = "{CANARY}"\nscope = "all"', "[a]: `scope` is not as docs/access.md says"),
        (
            f'[a]\n{GOOD}tokn = "x"',
            "[a]: what is in it is not as docs/access.md says; the keys are scope, token, ",
        ),
        (f'[a]\nscope = "{CANARY}"\nenv = "A"', "[a]: `scope` is not as docs/access.md says"),
        (
            f'[a]\nscope = "read"\nenv = "{CANARY}"',
            "[a]: the environment variable that `env` names is not set",
        ),
        (f"[a]\n{GOOD}{CANARY} = 1", "[a]: what is in it is not as docs/access.md says"),
        (f'["{CANARY}.x"]\nscope = "read"', "table 1: a name is 1 to 32 of a-z"),
        ("a=" + "[" * 3000, "this is not TOML: it is nested too deeply"),
        ("#" * (1 << 20) + f"\n[a]\n{GOOD}", "it is larger than 1048576 bytes"),
        ('[a]\nscope = "read"', "[a]: set either `token`, or `env`"),
        (f'[a]\n{GOOD}env = "A"', "[a]: set either `token`, or `env`"),
        (
            '[a]\nenv = "GR_NO_SUCH"\nscope = "read"',
            "[a]: the environment variable that `env` names is not set",
        ),
        ('[a]\ntoken = "short"\nscope = "read"', "[a]: the token must be at least 16 ASCII characters"),
        ('[a]\ntoken = "with a space in it"\nscope = "read"', "[a]: the token must be at least 16"),
        (f"[a]\n{GOOD}profiles = []", "[a]: `profiles` is empty"),
        (
            f'[a]\n{GOOD}profiles = ["a", "../{CANARY}"]',
            "[a]: number 2 of `profiles` is no name of a profile",
        ),
        (f"[a]\n{GOOD}max_sessions = 0", "[a]: `max_sessions` is not as docs/access.md says"),
        (f"[A]\n{GOOD}", "table 1: a name is 1 to 32 of a-z"),
        (f"['a.b']\n{GOOD}", "table 1: a name is 1 to 32 of a-z"),
        (f"[a]\n{GOOD}[b]\n{GOOD}", "[b]: it has the same token as a"),
        (f"[operator]\n{GOOD}", "[operator]: this is the name of the token in the setting `token`"),
    ],
)
def test_file_that_can_not_be_used_says_why(tmp_path: Path, text: str | bytes, problem: str) -> None:
    """The message names the table, and never has a token in it."""
    said = refusal(
        settings_for(tmp_path / "tokens.toml", text, token=OTHER if "operator" in str(text) else None)
    )
    assert said.startswith(f"tokens_file {str(tmp_path / 'tokens.toml')!r}: {problem}")


def test_all_problems_are_named(tmp_path: Path) -> None:
    """So a file is fixed in one go."""
    said = refusal(settings_for(tmp_path / "tokens.toml", '[a]\nscope = "x"\n[B]\nscope = "read"'))
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize(("mode", "is_fine"), [(0o600, True), (0o400, True), (0o440, True), (0o640, True),
                                               (0o644, False), (0o602, False), (0o660, False)])  # fmt: skip
def test_file_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int, *, is_fine: bool) -> None:
    """Its tokens are no secrets any more. The group may read it, as where Kubernetes mounts one."""
    settings = settings_for(tmp_path / "tokens.toml", f"[a]\n{GOOD}", mode)
    if is_fine:
        assert len(read_tokens(settings)) == 1
    else:
        assert f"run `chmod 600 {tmp_path / 'tokens.toml'}`" in refusal(settings)


def test_file_that_is_missing_or_a_directory_is_refused(tmp_path: Path) -> None:
    """The system's own words say why."""
    assert "can't be read: No such file" in refusal(DaemonSettings(tokens_file=tmp_path / "none"))
    assert "can't be read: Is a directory" in refusal(DaemonSettings(tokens_file=tmp_path))


def test_file_without_tokens_is_refused_even_if_there_is_the_setting(tmp_path: Path) -> None:
    """An editor that empties the file for a moment must not revoke all of them."""
    assert "it has no tokens" in refusal(settings_for(tmp_path / "tokens.toml", "", token=OTHER))


def test_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "tokens.toml", 0o600)
    assert "it is not a regular file" in refusal(DaemonSettings(tokens_file=tmp_path / "tokens.toml"))


def test_daemon_that_others_can_reach_has_a_token(tmp_path: Path) -> None:
    """Whatever starts it: without one, whoever can reach it would have the login."""
    assert "no token is set" in refusal(DaemonSettings(bind="0.0.0.0:1"))
    assert read_tokens(DaemonSettings(bind="0.0.0.0:1", token=OTHER))
    path = tmp_path / "tokens.toml"
    path.write_text(f"[a]\n{GOOD}")
    path.chmod(0o600)
    assert read_tokens(DaemonSettings(bind="0.0.0.0:1", tokens_file=path))


async def test_daemon_without_a_token_does_not_begin_to_listen_where_others_can_reach_it() -> None:
    """This is checked before anything is opened."""
    with pytest.raises(SettingsError, match="no token is set"):
        async with open_daemon(DaemonSettings(bind="0.0.0.0:0"), machine=FakeMachine()):
            raise AssertionError("it serves")
