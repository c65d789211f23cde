"""How pages write the data that they carry for their own scripts: JSON, escaped or not, or JavaScript."""

import functools
import itertools
import re
from typing import Any

import chompjs
import msgspec

# Turning JavaScript into JSON costs up to 50 ms per MB, so only one object of a page is, up to this length.
MAX_LITERAL_CHARS = 256_000
# How templates escape what stands in JSON; the ampersand comes last.
_ESCAPES = (("&quot;", '"'), ("&#34;", '"'), ("&#x22;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_ESCAPED = re.compile(r"\s*\{\s*&")
_MANY_QUOTES = 10_000
_MAX_KEYS = 1_000
# How far into a script the assignment may stand, what may stand before the name, and what has to follow it.
_ASSIGNMENT_CHARS = 200
_BEFORE_NAME = re.compile(
    r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|//[^\n\r]*[\n\r]|['\"]use strict['\"];)*+[\w\s.;,$\[]*+['\"]?(?<![\w$])"
)
_ASSIGNED = re.compile(r"['\"]?\]?\s{0,4}=\s{0,4}(?=\{)")
# Strings, comments, and what else may stand in a literal that holds data. A slash or an angle bracket may
# not: it would begin a regular expression or another comment.
_TEXT = (
    r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+"|`(?:[^`\\$]++|\\.|\$(?!\{))*+`"""
    r"""|/\*(?:[^*]++|\*(?!/))*+\*/|//[^\n\r\u2028\u2029]*+[\n\r\u2028\u2029]"""
)
_STRING = re.compile(_TEXT, re.DOTALL)
_CODE = re.compile(rf"""(?:[^'"`/<>]++|{_TEXT})*+""", re.DOTALL)
_NO_BRACKET = re.compile(r"[^{}\[\]()]++")
# How deep the brackets before a member may nest.
_MAX_NESTING = 64
# What the decoders raise: msgspec's own errors and bad text are ValueErrors.
UNREADABLE = (ValueError, RecursionError)


def is_assigned(name: str, code: str) -> bool:
    """Return whether an object is assigned to `name` before there is any other object in the code."""
    before, found, after = code[:_ASSIGNMENT_CHARS].partition(name)
    return bool(found and _BEFORE_NAME.fullmatch(before) and _ASSIGNED.match(after))


def member(container: bytes, key: str) -> bytes | None:
    """Return what a JSON object has under `key`, as JSON, or None if it has not, or null.

    All else in it is skipped, not built, which is what makes this fast. Never raises.
    """
    try:
        found = bytes(_decoder_of(key).decode(container).value)
    except UNREADABLE:
        return None
    return None if found in {b"", b"null"} else found


def members(container: bytes) -> dict[str, bytes] | None:
    """Return the members of a JSON object, each as JSON, or None if it is none. Never raises."""
    try:
        return {key: bytes(value) for key, value in _object.decode(container).items()}
    except UNREADABLE:
        return None


class DataReader:
    """Reads the data of one page's scripts."""

    def __init__(self) -> None:
        self._has_read_literal = False

    def read(self, text: str, *, literal_key: str | None = None) -> bytes | None:
        """Return the data in a script as JSON, or None if there is none that can be read.

        Where it is written in JavaScript, it is an object with at most the member `literal_key`, an object;
        if that is None, it is not read. Takes linear time; never raises.
        """
        if (found := _json(text)) is not None:
            return found
        text = _without_surrogates(text)
        if _ESCAPED.match(text):
            for escape, character in _ESCAPES:
                text = text.replace(escape, character)
        found = _json(text)
        return self._literal(text, literal_key) if found is None and literal_key else found

    def _literal(self, text: str, key: str) -> bytes | None:
        if sum(map(text.count, "'\"`\\")) > _MANY_QUOTES + len(text) // 4:  # no page's data
            return None
        start = _find_object(key, text)
        if start is None:
            return b"{}" if text.rstrip().endswith((";", "}")) else None
        if self._has_read_literal:
            return None
        self._has_read_literal = True
        literal = text[start : start + MAX_LITERAL_CHARS].replace("\\x", "\\u00")
        try:
            return b'{"%s":%s}' % (key.encode(), chompjs.parse_js_object(literal, loader=_raw.decode))
        except UNREADABLE:
            return None


def _find_object(key: str, text: str) -> int | None:
    """Return where the object under a key begins that is a member of the first object in JavaScript.

    The last of that key counts, as in a browser; what is in a string or comment, or deeper, does not.
    """
    found: int | None = None
    position, open_ = max(text.find("{"), 0), ""
    keys = re.finditer(re.escape(key) + r"(?P<quote>['\"]?)\s*:\s*(?=\{)", text)
    for member_ in itertools.islice(keys, _MAX_KEYS):
        quote = member_["quote"]
        start = member_.start() - len(quote)
        if start < position or text[start : member_.start()] != quote:
            continue
        end = _end_of(_CODE, text, position, start)
        code = _STRING.sub("", text[position:end])
        open_ = _still_open(open_ + code)
        if "}" in open_ or len(open_) > _MAX_NESTING:  # the first object has ended, or never will
            return found
        position = end
        if position < start:
            position = _end_of(_STRING, text, position)
            if position <= start:  # the string never ends, or it is none
                return found
        elif open_ == "{" and code.rstrip()[-1:] in ("{", ","):  # all of a key, and no mere name
            found = member_.end()
    return found


def _still_open(code: str) -> str:
    """Return the brackets in code that are not closed in it; where the first one is, what follows it too."""
    brackets = _NO_BRACKET.sub("", code)
    first, rest = brackets[:1], brackets[1:]
    for _ in range(_MAX_NESTING):
        before = len(rest)
        rest = rest.replace("{}", "").replace("[]", "").replace("()", "")
        if len(rest) == before:
            break
    return first + rest


def _end_of(pattern: re.Pattern[str], text: str, start: int, end: int | None = None) -> int:
    found = pattern.match(text, start, len(text) if end is None else end)
    return found.end() if found else start


def _without_surrogates(text: str) -> str:
    """Make the escaped halves of surrogate pairs other characters.

    JavaScript cuts texts between the two halves of an emoji, and no decoder takes what is left.
    """
    return text.replace("\\ud", "\\u0").replace("\\uD", "\\u0")


def _json(text: str) -> bytes | None:
    try:
        return bytes(_raw.decode(text))
    except UNREADABLE:
        return None


@functools.cache
def _decoder_of(key: str) -> msgspec.json.Decoder[Any]:
    field = msgspec.field(name=key, default=msgspec.Raw())
    return msgspec.json.Decoder(msgspec.defstruct("Step", [("value", msgspec.Raw, field)]))


_raw = msgspec.json.Decoder(msgspec.Raw)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
