"""What the parameters of an allowed call may be. What passes is in the table; see there for why."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from greenroom.actors.actions.actions import Url
from greenroom.actors.relay.messages import Call, Malformed, encode, read_params, read_value
from greenroom.actors.relay.table import LARGE, MAX_PARAMS_BYTES, REFUSED_PARAMETERS

# The driver takes selectors apart in quadratic time.
MAX_SELECTOR_CHARS: Final = 8000
_PLAIN_NAME = re.compile(r"[\w-]{1,100}", re.ASCII)
_MAX_PATH_BYTES, _MAX_NAME_BYTES = 1000, 255
# The driver makes a regular expression of a glob, and tries it on each request. With two wildcards at most,
# that takes quadratic time.
_QUICK_GLOB = re.compile(r"[^*?{}\[\]\\]{0,1000}(?:\*{1,2}[^*?{}\[\]\\]{0,1000}){0,2}")
_EVERYTHING: Final = [{"glob": "**/*"}]


class Refused(Exception):
    """A call that does not pass; the text is for the client."""


def check(call: Call, type_: str, *, may_open: Callable[[str], bool], may_trace: bool) -> Any:
    """Return the parameters of an allowed call that the relay looks at. Raises `Refused`."""
    kind = type_, call.method
    if len(bytes(call.params)) > LARGE.get(kind, MAX_PARAMS_BYTES):
        raise Refused(f"The parameters of {type_}.{call.method} are too large")
    try:
        params = read_params(call)
        for name in REFUSED_PARAMETERS.get(kind, ()):
            if getattr(params, name) is not UNSET:
                raise Refused(f"{type_}.{call.method} can't take {name} in a session of Greenroom")
        if len(read_value(params.selector, str) or "") > MAX_SELECTOR_CHARS:
            raise Refused("The selector is too long")
        _check_one(kind, params, may_open, may_trace)
    except Malformed as exc:
        raise Refused(f"The parameters can't be read: {exc}") from exc
    return params


def _check_one(kind: tuple[str, str], params: Any, may_open: Callable[[str], bool], may_trace: bool) -> None:
    match kind:
        case "Frame", "goto":
            _check_url(read_value(params.url, str), may_open)
        case "BrowserContext", "createTempFiles":
            for item in read_value(params.items, list[dict[str, Any]]) or ():
                _check_path(item.get("name"))
            if params.rootDirName is not UNSET:
                _check_path(read_value(params.rootDirName, str))
        case "Tracing", _:
            if not may_trace:
                raise Refused("A trace would show the proxy's password")
            name = read_value(params.name, str)  # it becomes a part of a path
            if name is not None and kind[1] != "tracingGroup" and not _PLAIN_NAME.fullmatch(name):
                raise Refused("A trace's name has only letters, digits, - and _")
            if read_value(params.mode, str) not in {None, "archive", "discard"}:
                raise Refused("A trace comes as an archive")


def _check_url(url: str | None, may_open: Callable[[str], bool]) -> None:
    try:
        given = msgspec.convert(url, Url)
    except msgspec.ValidationError:
        raise Refused("Only http and https URLs and about:blank can be opened in a session") from None
    if not may_open(given):
        raise Refused("A session can't open the daemon's own address")


def _check_path(path: object) -> None:
    """Refuse what can't be a file below a folder: the driver would end."""
    parts = path.replace("\\", "/").split("/") if isinstance(path, str) else [""]
    if (
        not {"", ".", ".."}.isdisjoint(parts)
        or len(str(path).encode(errors="replace")) > _MAX_PATH_BYTES
        or any(len(part.encode(errors="replace")) > _MAX_NAME_BYTES for part in parts)
    ):
        raise Refused("A file's name is a short path, without . and ..")


def count_files(call: Call, type_: str, params: Any) -> int:
    """Return how many files a call opens in the driver."""
    match type_, call.method:
        case "BrowserContext", "createTempFiles":
            return len(read_value(params.items, list[Raw]) or ())
        case "Artifact", "saveAsStream" | "stream":
            return 1
        case _:
            return 0


def quick_patterns(call: Call, params: Any) -> Raw:
    """Return the parameters of a call that intercepts requests, without patterns that take long.

    A client compares each request with its own patterns again, and lets the others pass.
    """
    if not call.method.endswith("InterceptionPatterns"):
        return call.params
    patterns = read_value(params.patterns, list[dict[str, Any]]) or []
    if all(pattern.keys() == {"glob"} and _is_quick(pattern["glob"]) for pattern in patterns):
        return call.params
    return Raw(encode({"patterns": _EVERYTHING}))


def _is_quick(glob: object) -> bool:
    return isinstance(glob, str) and _QUICK_GLOB.fullmatch(glob) is not None
