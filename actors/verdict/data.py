"""Reads the data that pages carry for their own scripts: JSON, escaped or not, or JavaScript."""

import functools
import re
from typing import Any

import chompjs
import msgspec

# The patterns below use possessive quantifiers (`*+`, `++`), so that hostile code can't make them backtrack.

# Turning JavaScript into JSON costs up to 50 ms per MB, so this is done for one object per page, up to this
# length.
MAX_LITERAL_CHARS = 256_000
# How templates escape JSON. The ampersand comes last, or it would create escapes that are then replaced too.
_ESCAPES = (("&quot;", '"'), ("&#34;", '"'), ("&#x22;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_ESCAPED = re.compile(r"\s*\{\s*&")
_MANY_QUOTES = 10_000
# How far into a script the assignment may be, what may come before the name, and what has to follow it.
_ASSIGNMENT_CHARS = 200
_BEFORE_NAME = re.compile(
    r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|//[^\n\r]*[\n\r]|['\"]use strict['\"];)*+(?:[\w\s.;,$]*[;,\s])??"
    r"(?:(?:window|self|globalThis)\s*(?:\.\s*|\[\s*['\"]))?"
)
_ASSIGNED = re.compile(r"['\"]?\]?\s{0,4}=\s{0,4}(?=\{)")
# Strings, comments, and the other parts of a literal that holds data. A slash or an angle bracket is not
# allowed, as it could start a regular expression or another comment; nor is a spread, whose members are
# elsewhere.
_TEXT = (
    r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+"|`(?:[^`\\$]++|\\.|\$(?!\{))*+`"""
    r"""|/\*(?:[^*]++|\*(?!/))*+\*/|//[^\n\r\u2028\u2029]*+[\n\r\u2028\u2029]"""
)
# What comes before a member's key; part of a longer name, or a name after an operator, is not a key.
_IS_KEY = re.compile(r"(?:[{,]|\*/|//[^\n\r\u2028\u2029]*[\n\r\u2028\u2029])\s*\Z")
_BEFORE_KEY_CHARS = 200
# A literal may have this many brackets; no real page's data has half as many.
_TOKENS, _CHARS_PER_TOKEN = 2_000, 40
# What may follow the object; otherwise it is only a part of what is assigned. A line needs no semicolon.
_ENDS = re.compile(r"\s*(?:[;,]|\Z)|\s*[\n\r]\s*[\w$]")
# Code that changes the data, or deletes it. Each pattern begins with a plain word, which makes searches fast.
_CHANGES = (r"%s(?![\w$])['\"]?\]?(?:\s*[.\[][^=;(]{0,100}+)?\s*=(?!=)", r"delete\b[^;]{0,40}%s")
_MANY_TIMES = 50
# Bare names used as values: what a variable holds is unknown.
_NAME = re.compile(rf"{_TEXT}|[:,\[]\s*+(?P<name>[A-Za-z_$][\w$]*+)(?!\s*:)", re.DOTALL)
_KNOWN_NAMES = {None, "null", "undefined", "true", "false", "NaN", "Infinity", "void"}
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
# What the decoders raise: msgspec's own errors, and those of bad text, are ValueErrors.
UNREADABLE = (ValueError, RecursionError)


def assigned_at(name: str, code: str) -> int | None:
    """Return where the object begins that the code assigns to `name` before anything else, or None."""
    before, found, after = code[:_ASSIGNMENT_CHARS].partition(name)
    if not found or not _BEFORE_NAME.fullmatch(before) or not (assigned := _ASSIGNED.match(after)):
        return None
    return len(before) + len(name) + assigned.end()


def member(container: bytes, key: str) -> bytes | None:
    """Return what a JSON object has under `key`, as JSON, or None if that is missing or null.

    Everything else is skipped instead of built, which makes this fast. Never raises.
    """
    try:
        found = bytes(_decoder_of(key).decode(container).value)
    except UNREADABLE:
        return None
    return None if found in {b"", b"null"} else found


def members(container: bytes) -> dict[str, bytes] | None:
    """Return the members of a JSON object, each as JSON, or None if it is not an object. Never raises."""
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

        With `assigned`, code that assigns the data to this name is read as well. If it is not JSON but
        JavaScript, the result has at most one member, the object under `key`. Takes linear time.
        Never raises.
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
        """Return the object that the code begins with, None if it can't be read, and the code after it."""
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
        """Return a JavaScript literal as JSON, under `key`. Raises one of `UNREADABLE`."""
        is_known = _KNOWN_NAMES.issuperset(found["name"] for found in _NAME.finditer(literal))
        if self._has_read_literal or len(literal) > MAX_LITERAL_CHARS or not is_known:
            return None
        self._has_read_literal = True
        literal = literal.replace("\\x", "\\u00")  # JavaScript has \xHH in strings, JSON only \uHHHH
        return b'{"%s":%s}' % (key.encode(), chompjs.parse_js_object(literal, loader=_raw.decode))


def _is_changed(name: str, code: str) -> bool:
    """Return whether the code seems to change what it has assigned to this name."""
    times = code.count(name)
    return times > _MANY_TIMES or (
        times > 0 and any(re.search(change % name, code) is not None for change in _CHANGES)
    )


def _first_json(text: str) -> tuple[bytes, str] | None:
    """Return the JSON object that the code begins with, and the code after it, or None if it is not JSON."""
    code = text.encode(errors="replace")
    try:
        return bytes(_raw.decode(code)), ""
    except UNREADABLE as exc:
        trailing = _TRAILING.search(str(exc))  # msgspec's only way to say where the object ended
    if trailing is None:
        return None
    end = int(trailing[1]) - 1
    rest = code[end:].decode()
    found = _json(code[:end]) if _ENDS.match(rest) else None
    return None if found is None else (found, rest)


def _find_object(key: str, text: str) -> tuple[slice | None, int]:
    """Return where the object under `key` is in the object that the text begins with, and where that ends.

    If the key occurs more than once, the last one counts, as in a browser; in a string, in a comment or
    deeper down it doesn't. Raises ValueError if the literal can't be read to its end, is part of something
    else, or is little more than brackets.
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
    """Return a pattern for code up to its next bracket, or to an object under `key`; only data matches."""
    first, rest = key[0], key[1:]
    keys = rf"""(?:'{key}'|"{key}"|(?<![\w$]){key})"""
    plain = rf"""[^'"`/<>{{}}\[\](){first}.]++|\.(?!\.)|{first}(?!{rest})|(?!{keys}\s*:\s*\{{)(?:{_TEXT})"""
    token = rf"(?P<opens>[{{\[(])|(?P<closes>[}}\])])|(?P<key>{keys})\s*+:\s*+(?=\{{)"
    return re.compile(rf"(?:{plain})*+(?:{token})", re.DOTALL)


def _without_surrogates(text: str) -> str:
    """Replace the escaped halves of surrogate pairs.

    JavaScript cuts strings between the two halves of an emoji, and no decoder accepts the half that is left.
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
