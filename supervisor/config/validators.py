"""Validators of settings, and the error that they raise.

attrs calls a validator with the instance, the attribute and the value.
"""

import enum
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import attrs

from greenroom.actors.lifecycle import check_profile_name
from greenroom.supervisor.secret import HIDDEN, Secret
from greenroom.supervisor.selectors import DEFAULT_SELECTORS, is_selector


class InvalidSetting(ValueError):
    """A setting has a value that is not allowed.

    `shown` is the value as a person may see it, never a secret. `allowed` completes the sentence "must be".
    """

    def __init__(self, name: str, shown: str, allowed: str) -> None:
        super().__init__(name, shown, allowed)
        self.name = name
        self.shown = shown
        self.allowed = allowed

    def __str__(self) -> str:
        return self.describe()

    def describe(self, source: str | None = None) -> str:
        """Return the problem as one line, with the value's `source` if it is known."""
        came_from = f" (from {source})" if source else ""
        return f"{self.name} is {self.shown}{came_from}, must be {self.allowed}"


Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def must(allowed: str, holds: Callable[[Any], bool], *, secret: bool = False) -> Validator:
    """Return a validator that refuses a value unless `holds` is true; the error says what is `allowed`.

    For a value that it can't handle, `holds` may also raise ValueError or TypeError.
    """

    def validate(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        try:
            fine = holds(value)
        except (TypeError, ValueError):
            fine = False
        if not fine:
            raise InvalidSetting(attribute.name, HIDDEN if secret else show(value), allowed) from None

    return validate


# A possible user name and password: all from // to the last @, or a word, a colon and more before an @.
_CREDENTIALS = re.compile(r"""(?:(?<=//)[^'"]*|[^\s'"/:]+:(?!//)[^\s'"]*)@""")


def show(value: object) -> str:
    """Return a value as an error may quote it: short, on one line, without possible passwords."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Path):
        value = str(value)
    text = _CREDENTIALS.sub("***@", repr(value))
    return text if len(text) <= 200 else f"{text[:197]}..."


def whole_number(low: int, high: int) -> Validator:
    """Return a validator for an int from `low` to `high`, both included."""
    return must(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def is_plain(value: object) -> TypeGuard[str]:
    """Return whether a text has no spaces or control characters, which `urlsplit` drops silently."""
    return isinstance(value, str) and value.isprintable() and not any(c.isspace() for c in value)


def _is_seconds(value: object) -> bool:
    return type(value) is float and math.isfinite(value) and value > 0


def is_page_url(value: object) -> bool:
    """Return whether a value is a page's http or https URL, without credentials."""
    if not is_plain(value):
        return False
    url = urlsplit(value)
    # `url.port` raises ValueError if it is invalid.
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


def _are_of_profiles(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_name(name) for name in value)


def _is_name(name: object) -> bool:
    try:
        check_profile_name(str(name))
    except ValueError:
        return False
    return True


def _are_proxies(value: Mapping[str, object]) -> bool:
    return all(isinstance(one, Secret) and _is_proxy(one) and _can_log_in(one) for one in value.values())


def _is_directory_path(value: object) -> bool:
    # If the user does not exist, expanduser leaves the ~.
    return isinstance(value, Path) and "\0" not in str(value) and not str(value).startswith("~")


def is_paths(value: object) -> bool:
    """Return whether a value is a tuple of usable paths."""
    return isinstance(value, tuple) and all(_is_directory_path(path) for path in value)


def is_names(value: object) -> bool:
    """Return whether a value is a tuple of names that files can have."""
    return isinstance(value, tuple) and all(
        isinstance(name, str) and name not in {"", ".", ".."} and not set("/\0") & set(name) for name in value
    )


def is_seconds_or_zero(value: object) -> bool:
    """Return whether `value` is a time in seconds, or 0."""
    return type(value) is float and math.isfinite(value) and value >= 0


def check_selectors(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Refuse selectors with an unknown key, an invalid selector, or the same one for in and out."""
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
        raise InvalidSetting(f"{attribute.name}.logged_in", shown, "different from logged_out")


def check_choice(choices: type[enum.Enum]) -> Validator:
    """Return a validator for a member of an enum."""
    *some, last = (choice.value for choice in choices)
    return must(f"{', '.join(some)} or {last}", lambda value: isinstance(value, choices))


check_seconds = attrs.validators.and_(
    must("a number of seconds above 0", _is_seconds),
    must("at most 1e9 seconds", lambda value: value <= 1e9),
)
check_path = must("the path of a directory", _is_directory_path)
check_proxies = attrs.validators.and_(
    must("a table of profiles' names", _are_of_profiles, secret=True),
    must(
        "a URL like http://user:password@host:port for each (http, https, or socks5 without a login)",
        _are_proxies,
        secret=True,
    ),
)
check_proxy = attrs.validators.and_(
    must("a URL like http://user:password@host:port (http, https or socks5)", _is_proxy, secret=True),
    must(
        "without a user and password if it is socks5, because Firefox can't log in to such a proxy: use the "
        "provider's http proxy, or run a forwarder without a password on this machine",
        _can_log_in,
        secret=True,
    ),
)
