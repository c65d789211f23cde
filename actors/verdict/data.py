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
    r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|//[^\n\r]*[\n\r]|['\"]use strict['\"];)*+(?:[\w\s.;,$]*[;,\s])??"
    r"(?:(?:window|self|globalThis)\s*(?:\.\s*|\[\s*['\"]))?"
)
_ASSIGNED = re.compile(r"['\"]?\]?\s{0,4}=\s{0,4}(?=\{)")
# Strings, comments, and what else may stand in a literal that holds data. A slash or an angle bracket may
# not: it would begin a regular expression or another comment; nor may a spread, whose members are elsewhere.
_TEXT = (
    r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+"|`(?:[^`\\$]++|\\.|\$(?!\{))*+`"""
    r"""|/\*(?:[^*]++|\*(?!/))*+\*/|//[^\n\r\u2028\u2029]*+[\n\r\u2028\u2029]"""
)
# What stands before a member's key: a name within another, or after an operator, is none.
_IS_KEY = re.compile(r"(?:[{,]|\*/|//[^\n\r\u2028\u2029]*[\n\r\u2028\u2029])\s*\Z")
_BEFORE_KEY_CHARS = 200
# So many brackets may stand in a literal: no page's data has half as many.
_TOKENS, _CHARS_PER_TOKEN = 2_000, 40
# What may follow the object, or else it is but a part of what is assigned. A line needs no semicolon.
_ENDS = re.compile(r"\s*(?:[;,]|\Z)|\s*[\n\r]\s*[\w$]")
# What changes it, or takes it back. Each begins with a plain word, so that the search for it is fast.
_CHANGES = (r"%s(?![\w$])['\"]?\]?(?:\s*[.\[][^=;(]{0,100}+)?\s*=(?!=)", r"delete\b[^;]{0,40}%s")
_MANY_TIMES = 50
# Names that are no text but stand for one: what their values are is not known.
_NAME = re.compile(rf"{_TEXT}|[:,\[]\s*+(?P<name>[A-Za-z_$][\w$]*+)(?!\s*:)", re.DOTALL)
_KNOWN_NAMES = {None, "null", "undefined", "true", "false", "NaN", "Infinity", "void"}
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
            found, rest = self._assigned(text[start:], key)
            return None if _is_changed(assigned, rest) else found
        if _ESCAPED.match(text):
            for escape, character in _ESCAPES:
                text = text.replace(escape, character)
        return _json(text)

    def _assigned(self, code: str, key: str) -> tuple[bytes | None, str]:
        """Return what the object that code begins with tells, None if it can't be read; and what follows."""
        if (parts := _first_json(code)) is not None:
            return parts
        if sum(map(code.count, "'\"`\\/")) > _MANY_QUOTES + len(code) // 4:  # no page's data
            return None, ""
        try:
            where, end = _find_object(key, code)
            return self._literal(code[where], key) if where else b"{}", code[end:]
        except UNREADABLE:
            return None, ""

    def _literal(self, literal: str, key: str) -> bytes | None:
        """Return what is written there in JavaScript, under `key`. Raises one of `UNREADABLE`."""
        is_known = _KNOWN_NAMES.issuperset(found["name"] for found in _NAME.finditer(literal))
        if self._has_read_literal or len(literal) > MAX_LITERAL_CHARS or not is_known:
            return None
        self._has_read_literal = True
        literal = literal.replace("\\x", "\\u00")
        return b'{"%s":%s}' % (key.encode(), chompjs.parse_js_object(literal, loader=_raw.decode))


def _is_changed(name: str, code: str) -> bool:
    """Return whether code, after it has assigned something to this name, seems to change that."""
    times = code.count(name)
    return times > _MANY_TIMES or (
        times > 0 and any(re.search(change % name, code) is not None for change in _CHANGES)
    )


def _first_json(text: str) -> tuple[bytes, str] | None:
    """Return the object that code begins with, and what follows, if it is JSON; None if it is not."""
    code = text.encode(errors="replace")
    try:
        return bytes(_raw.decode(code)), ""
    except UNREADABLE as exc:
        trailing = _TRAILING.search(str(exc))  # which is how msgspec says where the object has ended
    if trailing is None:
        return None
    end = int(trailing[1]) - 1
    rest = code[end:].decode()
    found = _json(code[:end]) if _ENDS.match(rest) else None
    return None if found is None else (found, rest)


def _find_object(key: str, text: str) -> tuple[slice | None, int]:
    """Return where, in the object that code begins with, the object under a key is; and where all of it ends.

    The last of that key counts, as in a browser; what is in a string or comment, or deeper, does not. Raises
    ValueError at a literal that can't be read to its end, is part of something else, or is hardly anything
    but brackets.
    """
    found: int | None = None
    where: slice | None = None
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
                if depth == 1 and found is not None:
                    where, found = slice(found, position), None
                if not depth:
                    if not _ENDS.match(text, position):
                        raise ValueError("more than a literal")
                    return where, position
            case "key" if depth == 1:
                start = token.start("key")
                before = text[max(start - _BEFORE_KEY_CHARS, 0) : start]
                if before.endswith(("{", ",")) or _IS_KEY.search(before):
                    found = position
    raise ValueError("no end")


@functools.cache
def _tokens_of(key: str) -> re.Pattern[str]:
    """Return what matches code up to its next bracket or object under the key, but not what is no data."""
    first, rest = key[0], key[1:]
    keys = rf"""(?:'{key}'|"{key}"|(?<![\w$]){key})"""
    plain = rf"""[^'"`/<>{{}}\[\](){first}.]++|\.(?!\.)|{first}(?!{rest})|(?!{keys}\s*:\s*\{{)(?:{_TEXT})"""
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
