"""How pages write the data that they carry for their own scripts: JSON, escaped or not, or JavaScript."""

import functools
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
# What stands before a member's key: a name within another, or after an operator, is none.
_IS_KEY = re.compile(r"(?:[{,]|\*/|//[^\n\r\u2028\u2029]*[\n\r\u2028\u2029])\s*\Z")
_BEFORE_KEY_CHARS = 200
# So many brackets may stand in a literal: no page's data has half as many.
_TOKENS, _CHARS_PER_TOKEN = 2_000, 40
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
# What the decoders raise: msgspec's own errors and bad text are ValueErrors.
UNREADABLE = (ValueError, RecursionError)


def assigned_at(name: str, code: str) -> int | None:
    """Return where the object is that is assigned to `name` first of all in the code, None if none is."""
    before, found, after = code[:_ASSIGNMENT_CHARS].partition(name)
    if not found or not _BEFORE_NAME.fullmatch(before) or not (assigned := _ASSIGNED.match(after)):
        return None
    return len(before) + len(name) + assigned.end()


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

    def read(self, text: str, *, assigned: str = "", key: str = "") -> bytes | None:
        """Return the data in a script as JSON, or None if there is none that can be read.

        Code that assigns it to the name `assigned`, if that is given, is read as well; where it is no JSON
        there, what is returned has at most the member `key`, an object. Takes linear time; never raises.
        """
        if (found := _json(text)) is not None:
            return found
        text = _without_surrogates(text)
        if assigned and (start := assigned_at(assigned, text)) is not None:
            code = text[start:]
            found = _first_json(code)
            return self._literal(code, key) if found is None else found
        if _ESCAPED.match(text):
            for escape, character in _ESCAPES:
                text = text.replace(escape, character)
        return _json(text)

    def _literal(self, text: str, key: str) -> bytes | None:
        if sum(map(text.count, "'\"`\\/")) > _MANY_QUOTES + len(text) // 4:  # no page's data
            return None
        try:
            start = _find_object(key, text)
        except UNREADABLE:
            return None
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


def _first_json(text: str) -> bytes | None:
    """Return the object that code begins with if it is JSON, None if it is not."""
    code = text.encode(errors="replace")
    try:
        return bytes(_raw.decode(code))
    except UNREADABLE as exc:
        trailing = _TRAILING.search(str(exc))  # which is how msgspec says where the object has ended
    if trailing is None:
        return None
    end = int(trailing[1]) - 1
    return _json(code[:end]) if code[end : end + 1] in {b";", b","} else None


def _find_object(key: str, text: str) -> int | None:
    """Return where the object under a key begins that is a member of the object that code begins with.

    The last of that key counts, as in a browser; what is in a string or comment, or deeper, does not. Raises
    ValueError at a literal of hardly anything but brackets.
    """
    found: int | None = None
    depth = position = 0
    left = _TOKENS + len(text) // _CHARS_PER_TOKEN
    tokens = _tokens_of(key)
    while token := tokens.match(text, position):
        position = token.end()
        left -= 1
        if not left:
            raise ValueError("too many brackets")
        match token.lastgroup:
            case "opens":
                depth += 1
            case "closes":
                depth -= 1
                if not depth:
                    break
            case "key" if depth == 1:
                start = token.start("key")
                before = text[max(start - _BEFORE_KEY_CHARS, 0) : start]
                if before.endswith(("{", ",")) or _IS_KEY.search(before):
                    found = position
    return found


@functools.cache
def _tokens_of(key: str) -> re.Pattern[str]:
    """Return what matches code up to its next bracket or object under the key, but not what is no data."""
    first, rest = key[0], key[1:]
    keys = rf"""(?:'{key}'|"{key}"|(?<![\w$]){key})"""
    plain = rf"""[^'"`/<>{{}}\[\](){first}]++|{first}(?!{rest})|(?!{keys}\s*:\s*\{{)(?:{_TEXT})"""
    token = rf"(?P<opens>[{{\[(])|(?P<closes>[}}\])])|(?P<key>{keys})\s*+:\s*+(?=\{{)"
    return re.compile(rf"(?:{plain})*+(?:{token})", re.DOTALL)


def _without_surrogates(text: str) -> str:
    """Make the escaped halves of surrogate pairs other characters.

    JavaScript cuts texts between the two halves of an emoji, and no decoder takes what is left.
    """
    return text.replace("\\ud", "\\u0").replace("\\uD", "\\u0")


def _json(text: str | bytes) -> bytes | None:
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
