"""The file of tokens that `tokens_file` names.

It is TOML. Each table is a token, and its name is the token's:

    [grafana]
    token = "0123456789abcdef"
    scope = "read"

    [worker]
    env = "WORKER_TOKEN"
    scope = "control"
    profiles = ["work"]
    max_sessions = 2
    requests_per_minute = 600
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from greenroom.actors.lifecycle import check_profile_name
from greenroom.supervisor.config import InvalidSetting
from greenroom.supervisor.secret import Secret
from greenroom.web.http.tokens import OPERATOR, Scope, ScopeWord, Token
from greenroom.web.settings import DaemonSettings, SettingsError
from greenroom.web.settings.daemon import TOKEN_SYNTAX, is_token

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_NAME_SYNTAX: Final = "a name is 1 to 32 of a-z, 0-9, _ and -, and begins with a letter or a digit"
# Others may not read it; the group may, but not write it: Kubernetes and systemd hand out such files.
_FORBIDDEN_MODE: Final = stat.S_IWGRP | stat.S_IRWXO
_MAX_BYTES: Final = 1 << 20

_Count = Annotated[int, msgspec.Meta(ge=1)]


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    scope: ScopeWord
    token: str | None = None
    env: str | None = None
    profiles: tuple[str, ...] | None = None
    max_sessions: _Count | None = None
    requests_per_minute: _Count | None = None


_KEYS: Final = _Entry.__struct_fields__


def read_tokens(settings: DaemonSettings) -> tuple[Token, ...]:
    """Return the tokens of the settings: that of `token`, and those in the file `tokens_file`.

    Reads a file and the environment. Raises `SettingsError` with every problem that was found; no message has
    a secret in it. One is that others could reach the daemon, and it would have no token.
    """
    try:
        settings.check_exposure()
    except InvalidSetting as exc:
        raise SettingsError([exc.describe()]) from None
    own: tuple[Token, ...] = ()
    if settings.token is not None:
        own = (Token(name=OPERATOR, secret=settings.token, scope=Scope.ADMIN),)
    if settings.tokens_file is None:
        return own
    problems: list[str] = []
    named = [*_tokens_of(_load(settings.tokens_file), problems)]
    tokens = [*own, *named]
    problems += _clashes(tokens)
    if not named and not problems:
        problems.append("it has no tokens")
    if problems:
        raise SettingsError(f"tokens_file {str(settings.tokens_file)!r}: {problem}" for problem in problems)
    return tuple(tokens)


def _load(path: Path) -> Mapping[str, Any]:
    """Return the file's tables. Raises `SettingsError`."""
    try:
        # To open a FIFO would wait for a writer otherwise.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            _check_mode(path, os.fstat(file.fileno()).st_mode)
            content = file.read(_MAX_BYTES + 1)
            if len(content) > _MAX_BYTES:
                raise _problem(path, f"it is larger than {_MAX_BYTES} bytes")
            return tomllib.loads(content.decode())
    except OSError as exc:
        raise _problem(path, f"can't be read: {exc.strerror}") from None
    except RecursionError:
        raise _problem(path, "this is not TOML: it is nested too deeply") from None
    except ValueError as exc:  # malformed, or not UTF-8
        # The parser's message may quote a token; only the place is taken from it.
        place = re.search(r"\(at (line \d+, column \d+|end of document)\)", str(exc))
        raise _problem(path, "this is not TOML" + (f": see {place[1]}" if place else "")) from None


def _check_mode(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise _problem(path, "it is not a regular file")
    if mode & _FORBIDDEN_MODE:
        why = f"others may read or change it: run `chmod 600 {path}`, and replace the tokens in it"
        raise _problem(path, why)


def _problem(path: Path, why: str) -> SettingsError:
    return SettingsError([f"tokens_file {str(path)!r}: {why}"])


def _tokens_of(tables: Mapping[str, Any], problems: list[str]) -> Iterator[Token]:
    for number, (name, table) in enumerate(tables.items(), 1):
        # A token may have been put in the place of anything else, so no message quotes what is in the file.
        label = f"[{name}]" if _NAME.fullmatch(name) else f"table {number}"
        try:
            yield _token_of(name, table)
        except msgspec.ValidationError as exc:
            place = re.search(r"at `\$\.(\w+)", str(exc))
            wrong = f"`{place[1]}` is not" if place and place[1] in _KEYS else "what is in it is not"
            problems.append(f"{label}: {wrong} as docs/access.md says; the keys are {', '.join(_KEYS)}")
        except ValueError as exc:
            problems.append(f"{label}: {exc}")


def _token_of(name: str, table: object) -> Token:
    """Return the token in a table. Raises `ValueError`, of which msgspec's errors are a kind."""
    if not _NAME.fullmatch(name):
        raise ValueError(_NAME_SYNTAX)
    entry = msgspec.convert(table, _Entry)
    if (entry.token is None) == (entry.env is None):
        raise ValueError("set either `token`, or `env` to the name of an environment variable that has it")
    secret = entry.token
    if entry.env is not None and not (secret := os.environ.get(entry.env)):
        raise ValueError("the environment variable that `env` names is not set")
    if not is_token(Secret(secret or "")):
        raise ValueError(f"the token must be {TOKEN_SYNTAX}")
    for number, profile in enumerate(entry.profiles or (), 1):
        try:
            check_profile_name(profile)
        except ValueError:
            raise ValueError(f"number {number} of `profiles` is no name of a profile") from None
    if entry.profiles == ():
        raise ValueError("`profiles` is empty: leave it out to allow all")
    return Token(
        name=name,
        secret=Secret(secret or ""),
        scope=Scope[entry.scope.upper()],
        profiles=None if entry.profiles is None else frozenset(entry.profiles),
        max_sessions=entry.max_sessions,
        requests_per_minute=entry.requests_per_minute,
    )


def _clashes(tokens: list[Token]) -> Iterator[str]:
    seen: list[Token] = []
    for token in tokens:
        for other in seen:
            if token.name == other.name:
                yield f"[{token.name}]: this is the name of the token in the setting `token`"
            elif token.secret == other.secret:
                yield f"[{token.name}]: it has the same token as {other.name}"
        seen.append(token)
