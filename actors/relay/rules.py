"""What the parameters of an allowed call may be. What passes is in the table; see there for why."""

import re
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec
from msgspec import UNSET, Raw

from greenroom.actors.actions.actions import Url
from greenroom.actors.relay.messages import Call, Malformed, encode, read_params, read_value, size_of
from greenroom.actors.relay.shared import MAX_OPEN_FILES
from greenroom.actors.relay.table import LARGE, MAX_PARAMS_BYTES, REFUSED_PARAMETERS

# The driver takes selectors apart in quadratic time, and compiles functions to see whether they are some.
MAX_SELECTOR_CHARS: Final = 2000
MAX_FUNCTION_BYTES: Final = 1 << 17
_BYTES_A_CHAR = 6  # where each is escaped
_PLAIN_NAME = re.compile(r"\w[\w .-]{0,99}", re.ASCII)
_MAX_PATH_BYTES, _MAX_NAME_BYTES = 1000, 255
# The driver makes a regular expression of a glob, and tries it on each request, whose URL may be of a page's
# making. With one wildcard, that takes linear time.
_QUICK_GLOB = re.compile(r"[^*?{}\[\]\\]{0,1000}(?:\*{1,2}[^*?{}\[\]\\]{0,1000})?")
_EVERYTHING: Final = [{"glob": "**/*"}]


class Refused(Exception):
    """A call that does not pass; the text is for the client."""


@attrs.frozen(kw_only=True)
class Checked:
    """What an allowed call comes to: the parameters to forward, and what it takes of the driver.

    `listens` says that the client listens for dialogs from now on.
    """

    params: Raw
    files: int = 0
    has_folder: bool = False
    selector_chars: int = 0
    listens: bool = False


def check(call: Call, type_: str, *, may_open: Callable[[str], bool], may_trace: bool) -> Checked:
    """Check the parameters of an allowed call. Raises `Refused`."""
    kind = type_, call.method
    if size_of(call.params) > LARGE.get(kind, MAX_PARAMS_BYTES):
        raise Refused(f"The parameters of {type_}.{call.method} are too large")
    try:
        params = read_params(call)
        for name in REFUSED_PARAMETERS.get(kind, ()):
            if getattr(params, name) is not UNSET:
                raise Refused(f"{type_}.{call.method} can't take {name} in a session of Greenroom")
        _check_script(params)
        _check_one(call, kind, params, may_open, may_trace)
        is_subscription = call.method == "updateSubscription"
        return Checked(
            params=_quick_patterns(call, params),
            files=_count_files(kind, params),
            has_folder=call.method == "createTempFiles" and params.rootDirName is not UNSET,
            selector_chars=_count_selectors(params),
            listens=is_subscription
            and read_value(params.event, str) == "dialog"
            and bool(read_value(params.enabled, bool)),
        )
    except Malformed as exc:
        raise Refused(f"The parameters can't be read: {exc}") from exc


def _count_selectors(params: Any) -> int:
    """Return how many characters the selectors of a call have. Raises `Refused` if one is too long."""
    given = [params.selector, params.source, params.target]
    if params.mask is not UNSET:
        given += [item.selector for item in read_value(params.mask, list[_Masked]) or ()]
    chars = 0
    for selector in given:
        if size_of(selector) > MAX_SELECTOR_CHARS * _BYTES_A_CHAR:
            raise Refused(f"A selector has at most {MAX_SELECTOR_CHARS} characters")
        if isinstance(selector, Raw) and bytes(selector).startswith(b'"'):
            size = len(read_value(selector, str) or "")
            if size > MAX_SELECTOR_CHARS:
                raise Refused(f"A selector has at most {MAX_SELECTOR_CHARS} characters")
            chars += size
    return chars


class _Masked(msgspec.Struct):
    selector: Raw | msgspec.UnsetType = UNSET


def _check_script(params: Any) -> None:
    size = size_of(params.expression)
    if size > MAX_FUNCTION_BYTES and params.isFunction is not UNSET and bytes(params.isFunction) != b"false":
        raise Refused(f"A function has at most {MAX_FUNCTION_BYTES} bytes: add it to the page as a script")


def _check_one(
    call: Call, kind: tuple[str, str], params: Any, may_open: Callable[[str], bool], may_trace: bool
) -> None:
    match kind:
        case "Frame", "goto":
            _check_url(read_value(params.url, str), may_open)
        case "Frame", "expect":
            # The driver itself reads a snapshot to compare with.
            is_snapshot = read_value(params.expression, str) == "to.match.aria"
            if is_snapshot and size_of(call.params) > MAX_PARAMS_BYTES:
                raise Refused("The snapshot to compare with is too large")
        case "BrowserContext", "createTempFiles":
            _check_files(params)
        case "Tracing", method:
            _check_trace(method, params, may_trace)


def _check_files(params: Any) -> None:
    items = read_value(params.items, list[Raw]) or []
    if len(items) > MAX_OPEN_FILES:
        raise Refused(f"At most {MAX_OPEN_FILES} files at once")
    for item in items:
        _check_path((read_value(item, dict[str, Any]) or {}).get("name"))
    if params.rootDirName is not UNSET:
        _check_path(read_value(params.rootDirName, str))


def _check_trace(method: str, params: Any, may_trace: bool) -> None:
    if not may_trace:
        raise Refused("A trace would show the proxy's password")
    name = read_value(params.name, str)  # it becomes a part of a path
    if name is not None and method != "tracingGroup" and not _PLAIN_NAME.fullmatch(name):
        raise Refused("A trace's name has only letters, digits, spaces, dots, - and _")
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


def _count_files(kind: tuple[str, str], params: Any) -> int:
    """Return how many files a call opens in the driver."""
    match kind:
        case "BrowserContext", "createTempFiles":
            return len(read_value(params.items, list[Raw]) or ())
        case "Artifact", "saveAsStream" | "stream":
            return 1
        case _:
            return 0


def _quick_patterns(call: Call, params: Any) -> Raw:
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
    return glob == "**/*" or (isinstance(glob, str) and _QUICK_GLOB.fullmatch(glob) is not None)
