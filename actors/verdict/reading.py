"""Takes a page apart, in one pass and within bounds, into the few things that evidence is looked for in.

The parser is lxml's, fed in pieces, so that a hostile page is given up before it costs much: one with a
million tags, with tags nested deeper than any real page's, or with a tag that never ends.
"""

import contextlib
from collections import Counter

import attrs
from lxml import etree

from actors.verdict.dom import rules_met

# What each started megabyte of a page may cost to read. The unit takes about 0.1 microseconds, and an element
# with a text and two attributes costs 8 of them: even a page that is all feed spends less than all.
MAX_COST_PER_MB = 110_000
_MB = 1_000_000
_ELEMENT_COST = 4
_TEXT_COST = 2
_ATTRIBUTE_COST = 3
_GAP_COST = 2
_ENTITIES_PER_COST = 4
_MANY_ATTRIBUTES = 16
_TELLING_COST = 4
_SCRIPT_COST = 80
_RULE_COST = 40
# Browsers nest no deeper.
MAX_DEPTH = 512
# From this depth on, each so many levels make an end tag that ends nothing as dear as another.
_SHALLOW = 64
PIECE_BYTES = 16 * 1024
_BETWEEN_ATTRIBUTES = b" \t\r\n\f/"

PUMBAA = "pumbaa-ctx"
_MAX_FLAGS_CHARS = 4_096
_MAX_TITLE_CHARS = 1_000
_FIREWALL_SCRIPT = "slardar-config"
SHOP_CAPTCHA = "oec-ttweb-captcha"
_CODE_TYPES = frozenset({"", "text/javascript", "application/javascript", "module"})
_HOSTS = ("tiktok", "ttwstatic")
# Elements in this are not on the page.
_INERT = frozenset({"template"})
# TikTok's pages are seen with scripts on, where what is in a noscript is text, as it is in a noframes.
_AS_TEXT = ((b"<noscript", b"<noframes"), (b"</noscript", b"</noframes"))
_TELLING_TAGS = _INERT | {"script", "meta", "link", "title"}
_ENCODINGS = (
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


@attrs.frozen(kw_only=True)
class Script:
    """A script that is in the page itself. `is_code` tells it from data."""

    id: str
    is_code: bool
    text: str


@attrs.define(eq=False)
class Reading:
    """What there is on a page.

    `rules` counts the elements that met each of `dom`'s rules, `login_flags` are the contents of
    `pumbaa-ctx`, their beginnings at least. `is_tiktok` tells whether anything on it is TikTok's. `is_whole`
    is false where the page went beyond the bounds, and the rest of it was not looked at.
    """

    text: str
    scripts: list[Script] = attrs.field(factory=list, init=False)
    login_flags: list[str] = attrs.field(factory=list, init=False)
    title: str = attrs.field(default="", init=False)
    rules: Counter[str] = attrs.field(factory=Counter, init=False)
    has_script: bool = attrs.field(default=False, init=False)
    loads_shop_captcha: bool = attrs.field(default=False, init=False)
    is_tiktok: bool = attrs.field(default=False, init=False)
    is_whole: bool = attrs.field(default=True, init=False)


def read_page(page: str | bytes) -> Reading:
    """Read a page, of any size and however broken. Takes linear time; never raises."""
    text = (page if isinstance(page, str) else _decode(page)).replace("\0", "?")
    reading = Reading(text)
    reader = _Reader(reading)
    parser = etree.HTMLParser(
        encoding="utf-8",
        huge_tree=True,
        recover=True,
        target=reader,  # type: ignore[arg-type]  # the stubs allow for bytes, which never come
    )
    data = text.encode(errors="replace")
    for tag, raw in _AS_TEXT:
        data = data.replace(tag, raw)
    try:
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            before, ended = reader.cost, reader.ended
            parser.feed(piece)
            reader.cost += _unseen_cost(piece, reader.ended - ended, reader.depth, reader.cost == before)
            budget = MAX_COST_PER_MB * (1 + start // _MB)
            if reader.cost > budget or reader.depth > MAX_DEPTH:
                reading.is_whole = False
                break
        else:
            _close(parser)
    except etree.LxmlError:
        reading.is_whole = False
    reader.finish_text()
    return reading


def _unseen_cost(piece: bytes, ended: int, depth: int, is_silent: bool) -> int:
    """Return what a piece costs the parser beyond what the reader is told of.

    That is entities, end tags that end nothing, for which it looks through all open elements, and, in a piece
    that makes no sound, the attributes of a tag that does not end in it.
    """
    cost = piece.count(b"&") // _ENTITIES_PER_COST
    cost += max(0, piece.count(b"</") - ended) * (_ELEMENT_COST + depth // _SHALLOW * _ELEMENT_COST)
    if is_silent:
        gaps = len(piece) - len(piece.translate(None, _BETWEEN_ATTRIBUTES))
        cost += max(_GAP_COST * gaps, _ATTRIBUTE_COST * piece.count(b"="))
    return cost


def _close(parser: etree.HTMLParser) -> None:
    """Tell the parser that this is all. It minds when there was no element at all; we don't."""
    with contextlib.suppress(etree.LxmlError):
        parser.close()


def _decode(page: bytes) -> str:
    for start, name in _ENCODINGS:
        if page.startswith(start):
            return page.decode(name, errors="replace")
    try:
        return page.decode("utf-8-sig")
    except UnicodeDecodeError:  # all that is looked for is ASCII, which stays itself in the end
        return page.decode("latin-1")


class _Reader:
    """What the parser tells, as it goes. The names of its methods are the parser's."""

    def __init__(self, reading: Reading) -> None:
        self.cost = 0
        self.depth = 0
        self.ended = 0
        self._reading = reading
        self._inert = 0
        self._has_title = False
        self._parts: list[str] | None = None
        self._finish: tuple[str, str, bool] = ("", "", False)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        count = len(attributes)
        self.cost += _ELEMENT_COST + (count if count < _MANY_ATTRIBUTES else count * _ATTRIBUTE_COST)
        self.depth += 1
        if self._parts is not None:
            self.finish_text()
        if tag in _TELLING_TAGS:
            self._start_telling(tag, attributes)
        if attributes and not self._inert:
            self._note_names(attributes)

    def end(self, tag: str) -> None:
        self.depth -= 1
        self.ended += 1
        if self._parts is not None:
            self.finish_text()
        if tag in _INERT:
            self._inert -= 1

    def data(self, text: str) -> None:
        self.cost += _TEXT_COST
        if self._parts is not None:
            self._parts.append(text)

    def close(self) -> None:
        pass

    def finish_text(self) -> None:
        """Take in the text of the script or title that has ended, or that the page ended in."""
        if self._parts is None:
            return
        text = "".join(self._parts)
        self._parts = None
        kind, id_, is_code = self._finish
        if kind == "title":
            self._reading.title = title = text[:_MAX_TITLE_CHARS].strip()
            self._reading.is_tiktok |= "tiktok" in title.lower()
        else:
            self._reading.scripts.append(Script(id=id_, is_code=is_code, text=text))

    def _start_telling(self, tag: str, attributes: dict[str, str]) -> None:
        self.cost += _TELLING_COST
        if tag in _INERT:
            self._inert += 1
        elif self._inert:
            pass
        elif tag == "script":
            self._start_script(attributes)
        elif tag == "meta":
            self._note_meta(attributes)
        elif tag == "link":
            self._note_source(attributes.get("href", ""))
        elif not self._has_title:  # a drawing in the page may have a title of its own
            self._has_title = True
            self._collect("title", "", is_code=False)

    def _collect(self, kind: str, id_: str, *, is_code: bool) -> None:
        self._parts = []
        self._finish = (kind, id_, is_code)

    def _note_names(self, attributes: dict[str, str]) -> None:
        if "data-e2e" in attributes or "id" in attributes or "class" in attributes:
            for rule in rules_met(attributes):
                self._reading.rules[rule] += 1
                self.cost += _RULE_COST

    def _start_script(self, attributes: dict[str, str]) -> None:
        source = attributes.get("src", "")
        self._note_source(source)
        self.cost += _SCRIPT_COST
        self._reading.has_script = True
        self._reading.loads_shop_captcha |= SHOP_CAPTCHA in source
        id_ = attributes.get("id", "")
        is_code = id_ == _FIREWALL_SCRIPT or attributes.get("type", "").lower() in _CODE_TYPES
        if id_ or is_code:
            self._collect("script", id_, is_code=is_code)

    def _note_source(self, source: str) -> None:
        self._reading.is_tiktok |= any(name in source for name in _HOSTS)

    def _note_meta(self, attributes: dict[str, str]) -> None:
        if attributes.get("name") == PUMBAA:
            self.cost += _RULE_COST
            self._reading.login_flags.append(attributes.get("content", "")[:_MAX_FLAGS_CHARS])
            self._reading.is_tiktok = True
        elif attributes.get("property") == "og:site_name" or attributes.get("name") == "application-name":
            self._reading.is_tiktok |= "tiktok" in attributes.get("content", "").lower()
