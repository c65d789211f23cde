"""Converters of settings: they bring a value into its type if that takes no guessing.

A value that can't be converted is returned as it is, for the validator to refuse. The parameters' types say
what a type checker should accept.
"""

import enum
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from greenroom.actors.browser.cells.sandbox import SandboxChoice
from greenroom.actors.browser.engines import EngineChoice
from greenroom.supervisor.config.choices import OnLoginLost
from greenroom.supervisor.secret import Secret
from greenroom.supervisor.selectors import DEFAULT_SELECTORS


def to_secret(value: Secret | str | None) -> Secret | None:
    """Return a text as a secret."""
    return Secret(value) if isinstance(value, str) else value


def to_secrets(value: Mapping[str, Secret | str]) -> Mapping[str, Secret]:
    """Return texts under names as secrets."""
    return cast("Mapping[str, Secret]", _with_secrets(value))


def _with_secrets(value: object) -> object:
    return {name: to_secret(text) for name, text in value.items()} if isinstance(value, Mapping) else value


def to_seconds(value: float | str) -> float:
    """Convert an int or a text to a float."""
    return cast("float", _number_from(value, float))


def to_int(value: int | str) -> int:
    """Convert a text to an int."""
    return cast("int", _number_from(value, int) if isinstance(value, str) else value)


def _number_from(value: object, kind: type[float] | type[int]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return value


def to_path(value: os.PathLike[str] | str) -> Path:
    """Convert a text to a path, and expand a leading ~."""
    return cast("Path", _path_from(value))


def _path_from(value: object) -> object:
    if not isinstance(value, str | os.PathLike) or value == "":  # Path("") would be the working directory
        return value
    path = Path(value)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def to_paths(value: Iterable[os.PathLike[str] | str] | str) -> tuple[Path, ...]:
    """Convert a list, or a text with commas, to paths."""
    return cast("tuple[Path, ...]", _paths_from(value))


def _paths_from(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return tuple(map(_path_from, value)) if isinstance(value, list | tuple) else value


def to_names(value: Iterable[str] | str) -> tuple[str, ...]:
    """Convert a list, or a text with commas, to names."""
    return cast("tuple[str, ...]", _names_from(value))


def _names_from(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list | tuple) else value


def to_selectors(value: Mapping[str, str]) -> Mapping[str, str]:
    """Add the defaults of the selectors that are not given."""
    return cast("Mapping[str, str]", _with_default_selectors(value))


def _with_default_selectors(value: object) -> object:
    return {**DEFAULT_SELECTORS, **value} if isinstance(value, Mapping) else value


def to_engine(value: EngineChoice | str) -> EngineChoice:
    """Convert a text to a choice of engine."""
    return cast("EngineChoice", choice_from(value, EngineChoice))


def to_sandbox(value: SandboxChoice | str) -> SandboxChoice:
    """Convert a text to a choice of sandbox."""
    return cast("SandboxChoice", choice_from(value, SandboxChoice))


def to_on_login_lost(value: OnLoginLost | str) -> OnLoginLost:
    """Convert a choice's name to the choice."""
    return cast("OnLoginLost", choice_from(value, OnLoginLost))


def choice_from(value: object, choices: type[enum.Enum]) -> object:
    """Return the choice that a text names."""
    if not isinstance(value, str):
        return value
    return next((choice for choice in choices if choice.value == value.strip().lower()), value)
