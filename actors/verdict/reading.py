"""Takes a page apart, in one pass and within bounds, into the parts that can hold evidence.

The parser is lxml's. It is fed in pieces, so that a hostile page is abandoned before it costs much: one with
a million tags, with deeper nesting than any real page, or with a tag that never ends.
"""

import contextlib
import re
from collections import Counter

import attrs
from lxml import etree

from greenroom.actors.verdict.arrival import path_of
from greenroom.actors.verdict.dom import FIREWALL_NAME, is_captcha, rules_met
from greenroom.actors.verdict.gates import GATE_NAME, MAX_HEADLINE_CHARS, MAX_HEADLINES, normal_name
from greenroom.actors.verdict.site import is_address, is_tiktok_address

# What a page may cost to read, per megabyte, with a minimum of one. A unit takes about 0.1 microseconds, and
# an element with a text and two attributes costs 8 units: even a page that is only a feed stays below this.
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
_ADDRESS_COST = 150
_RULE_COST = 40
# Browsers don't nest deeper.
MAX_DEPTH = 512
# An end tag that ends nothing costs as much as one more element for every 64 levels of depth.
_SHALLOW = 64
PIECE_BYTES = 16 * 1024
_BETWEEN_ATTRIBUTES = b" \t\r\n\f/"

PUMBAA = "pumbaa-ctx"
_MAX_FLAGS_CHARS = 4_096
_MAX_TITLE_CHARS = 1_000
SHOP_CAPTCHA = "oec-ttweb-captcha"
_CODE_TYPES = frozenset({"", "text/javascript", "application/javascript", "module"})
_HOSTS = ("tiktok", "ttwstatic")
# Only TikTok's own pages load their scripts and styles from here. Other sites embed its player.
_OWN_SOURCE = re.compile(
    r"(?:https?:)?//[\w.-]+\.(?:ttwstatic|tiktokcdn|tiktokcdn-(?:us|eu))\.com/(?!.*embed)", re.ASCII
)
# The kinds of preloads that are code; images prove nothing, since any site may show TikTok's.
_CODE = frozenset({"script", "style", "fetch"})
_SITE_NAMES = frozenset({"og:site_name", "application-name", "apple-mobile-web-app-title"})
# Browsers, and SingleFile, write a saved page's address into a comment at its top.
_SAVED_FROM = re.compile(r"\s*(?:saved from url=\(\d+\)|Page saved with SingleFile\s+url:\s*)(\S+)")
# Elements inside these are not part of the page.
_INERT = frozenset({"template"})
# With scripts on, a browser takes the content of a noscript for text. lxml does so only for a noframes.
_AS_TEXT = ((b"<noscript", b"<noframes"), (b"</noscript", b"</noframes"))
_NOSCRIPT = re.compile(rb"(?<=[</])noscript", re.IGNORECASE)
_TELLING_TAGS = _INERT | {"script", "meta", "link", "title"}
_HEADINGS = frozenset({"h1", "h2", "h3"})
_DIALOG_ROLES = frozenset({"dialog", "alertdialog"})
_HIDING = ("none", "hidden", "opacity")
_INVISIBLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:\.0*)?\s*(?:;|!|$)", re.IGNORECASE
)
# Attributes that make an element worth noting. Below: posts, and elements that ask the viewer for something.
_NOTED = frozenset({"data-e2e", "id", "hidden", "style", "aria-hidden", "role", "aria-modal"})
_POSTS = frozenset({"video", "article"})
_POST_NAMES = frozenset({"recommend-list-item-container", "feed-video", "browse-video", "user-post-item"})
_ASKING = frozenset({"form", "input", "button", "a"})
_RAW = frozenset({"script", "style", "noframes"})
_ENDING = _RAW | _INERT
_SPECIAL = _TELLING_TAGS | _HEADINGS | _POSTS | _ASKING | _RAW | {"dialog"}
_MAX_TEXT_CHARS = 2_000
_MAX_NAMES = 500
_NAME_COST = 30
_NOTE_COST = 6
_STYLE_COST = 12
_GATE_NAME = re.compile(GATE_NAME, re.ASCII)
_ENCODINGS = (
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


@attrs.frozen(kw_only=True)
class Script:
    """A script in the page itself. `is_code` is false for data.

    `id` is set if the page's own code would find this script by it: of several elements with one id, that is
    the first.
    """

    id: str
    is_code: bool
    text: str


@attrs.define(eq=False)
class Reading:
    """The parts of a page that can hold evidence.

    `rules` counts the elements that match each of `dom`'s rules. `login_flags` are the contents of
    `pumbaa-ctx`, cut to a maximum length. `words` is the beginning of the visible text. `headlines` and
    `names` are those of visible elements that may be a gate's. `is_tiktok` means that something on the page
    is TikTok's, `is_proven` that this proves the page to be TikTok's, and `is_other` that the page names
    another site as its own. `is_whole` is false if the page exceeded the bounds, and the rest was not read.
    """

    text: str
    scripts: list[Script] = attrs.field(factory=list, init=False)
    login_flags: list[str] = attrs.field(factory=list, init=False)
    title: str = attrs.field(default="", init=False)
    words: str = attrs.field(default="", init=False)
    rules: Counter[str] = attrs.field(factory=Counter, init=False)
    headlines: list[str] = attrs.field(factory=list, init=False)
    names: list[str] = attrs.field(factory=list, init=False)
    path: str = attrs.field(default="", init=False)
    has_script: bool = attrs.field(default=False, init=False)
    may_pass: bool = attrs.field(default=False, init=False)
    asks: bool = attrs.field(default=False, init=False)
    has_posts: bool = attrs.field(default=False, init=False)
    loads_shop_captcha: bool = attrs.field(default=False, init=False)
    is_tiktok: bool = attrs.field(default=False, init=False)
    is_proven: bool = attrs.field(default=False, init=False)
    is_other: bool = attrs.field(default=False, init=False)
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
        target=reader,  # type: ignore[arg-type]  # the stubs allow bytes, which the parser never passes
    )
    data = _without_noscript(text.encode(errors="replace"))
    budget = MAX_COST_PER_MB * max(1, len(data) / _MB)
    try:
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            before, ended = reader.cost, reader.ended
            parser.feed(piece)
            reader.add_cost(_unseen_cost(piece, reader.ended - ended, reader.depth, reader.cost == before))
            if reader.cost > budget or reader.depth > MAX_DEPTH:
                reading.is_whole = False
                break
        else:
            _close(parser)
    except etree.LxmlError:
        reading.is_whole = False
    reader.finish()
    return reading


def _without_noscript(data: bytes) -> bytes:
    """Make the parser take the content of a noscript for text, as a browser with scripts on does."""
    for tag, raw in _AS_TEXT:
        data = data.replace(tag, raw)
    return _NOSCRIPT.sub(b"noframes", data) if b"noscript" in data.lower() else data


def _unseen_cost(piece: bytes, ended: int, depth: int, is_silent: bool) -> int:
    """Return the cost of what the parser does in a piece without telling the reader.

    That is entities; end tags that end nothing, for each of which it searches all open elements; and, in a
    piece without any event, the attributes of a tag that is still open.
    """
    cost = piece.count(b"&") // _ENTITIES_PER_COST
    cost += max(0, piece.count(b"</") - ended) * (_ELEMENT_COST + depth // _SHALLOW * _ELEMENT_COST)
    if is_silent:
        gaps = len(piece) - len(piece.translate(None, _BETWEEN_ATTRIBUTES))
        cost += max(_GAP_COST * gaps, _ATTRIBUTE_COST * piece.count(b"="))
    return cost


def _close(parser: etree.HTMLParser) -> None:
    """Tell the parser that the page ends here. It raises if there was no element, which is fine with us."""
    with contextlib.suppress(etree.LxmlError):
        parser.close()


def _decode(page: bytes) -> str:
    for start, name in _ENCODINGS:
        if page.startswith(start):
            return page.decode(name, errors="replace")
    try:
        return page.decode("utf-8-sig")
    except UnicodeDecodeError:  # everything that we look for is ASCII, which latin-1 keeps
        return page.decode("latin-1")


class _Reader:
    """The parser's target, which collects a `Reading`. lxml prescribes the names of the event methods."""

    def __init__(self, reading: Reading) -> None:
        self.started = self.ended = 0
        self._extra_cost = 0
        self._reading = reading
        self._inert = 0
        self._special = set(_SPECIAL)
        self._parts: list[str] | None = None
        self._finish: tuple[str, str, bool] = ("", "", False)
        self._ids: set[str] = set()
        self._names: set[str] = set()
        self._is_raw = False
        self._words: list[str] = []
        self._word_chars = 0
        # The depth of the element that hides its content, and of the one whose headline is read; 0 if none.
        self._hidden = self._headline = 0
        self._is_dialog = False
        self._headline_parts: list[str] = []
        self._page_headlines: list[str] = []

    @property
    def depth(self) -> int:
        return self.started - self.ended

    @property
    def cost(self) -> int:
        return self.started * _ELEMENT_COST + self._extra_cost

    def add_cost(self, cost: int) -> None:
        self._extra_cost += cost

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.started += 1
        if self._parts is not None:
            self.finish_text()
        if self._headline:
            self._add_to_headline(" ")
        if tag in self._special:
            self._start_special(tag, attributes)
        if attributes:
            count = len(attributes)
            self._extra_cost += count if count < _MANY_ATTRIBUTES else count * _ATTRIBUTE_COST
            if self._inert:
                return
            if not _NOTED.isdisjoint(attributes):
                self._note(attributes)
            elif "class" in attributes:
                classes = attributes["class"]
                if "captcha" in classes or FIREWALL_NAME in classes:
                    self._note_rules(attributes)

    def end(self, tag: str) -> None:
        self.ended += 1
        if self._parts is not None:
            self.finish_text()
        if self._headline or self._hidden:
            depth = self.depth
            self._add_to_headline(" ")
            if self._headline > depth:
                self._finish_headline()
            if self._hidden > depth:
                self._hidden = 0
        if tag in _ENDING:
            self._is_raw = False
            self._inert -= tag in _INERT

    def data(self, text: str) -> None:
        self._extra_cost += _TEXT_COST
        if self._parts is not None:
            self._parts.append(text)
            return
        if (self._word_chars >= _MAX_TEXT_CHARS and not self._headline) or self._is_raw:
            return
        if self._hidden or self._inert:
            return
        if self._headline:
            self._add_to_headline(text)
        if self._word_chars < _MAX_TEXT_CHARS:
            self._words.append(text)
            self._word_chars += len(text)

    def comment(self, text: str) -> None:
        self._extra_cost += _TEXT_COST
        if saved := _SAVED_FROM.match(text):
            self.note_address(saved[1])
        if text.startswith("[CDATA[") and not text.endswith("]]"):
            # Inside an SVG a browser reads on to the CDATA's end; elsewhere it ends where the parser did.
            self._reading.is_whole = False

    def close(self) -> None:
        pass

    def finish(self) -> None:
        """Complete the reading at the end of the page."""
        self.finish_text()
        if self._headline:
            self._finish_headline()
        self._reading.words = "".join(self._words)[:_MAX_TEXT_CHARS]
        if not self._reading.has_posts:
            self._reading.headlines += self._page_headlines

    def finish_text(self) -> None:
        """Store the text of the script or title that has just ended, or with which the page ended."""
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

    def note_address(self, address: str) -> None:
        """Note the address that the page claims to be from."""
        self._extra_cost += _ADDRESS_COST
        if not is_address(address):
            return
        is_own = is_tiktok_address(address)
        self._reading.is_proven |= is_own
        self._reading.is_tiktok |= is_own
        self._reading.is_other |= not is_own
        self._reading.path = self._reading.path or path_of(address)

    def _start_special(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _TELLING_TAGS:
            self._start_telling(tag, attributes)
        if tag in _RAW:
            self._is_raw = True
        elif self._inert:
            pass
        elif tag in _HEADINGS:
            self._start_headline(is_dialog=False)
        elif tag in _POSTS:
            self._reading.has_posts = True
            self._special -= _POSTS
        elif tag in _ASKING:
            self._reading.asks = True
            self._special -= _ASKING
        elif tag == "dialog":
            if "open" in attributes:
                self._start_headline(is_dialog=True)
            else:
                self._hide()

    def _start_telling(self, tag: str, attributes: dict[str, str]) -> None:
        self._extra_cost += _TELLING_COST
        if tag in _INERT:
            self._inert += 1
        elif self._inert:
            pass
        elif tag == "script":
            self._start_script(attributes)
        elif tag == "meta":
            self._note_meta(attributes)
        elif tag == "link":
            self._note_link(attributes)
        elif tag == "title":  # only the first one: an SVG in the page may have its own title
            self._special.discard("title")
            self._collect("title", "", is_code=False)

    def _collect(self, kind: str, id_: str, *, is_code: bool) -> None:
        self._parts = []
        self._finish = (kind, id_, is_code)

    def _note(self, attributes: dict[str, str]) -> None:
        """Note an element's names, and whether it hides its content or is in front of the page."""
        self._extra_cost += _NOTE_COST
        if (
            "hidden" in attributes
            or attributes.get("aria-hidden") == "true"
            or ("style" in attributes and self._is_invisible(attributes["style"]))
        ):
            self._hide()
        elif attributes.get("role") in _DIALOG_ROLES or attributes.get("aria-modal") == "true":
            self._start_headline(is_dialog=True)
        if id_ := attributes.get("id"):
            self._ids.add(id_)
            self._note_name(id_)
        if e2e := attributes.get("data-e2e"):
            self._reading.has_posts |= e2e in _POST_NAMES
            self._note_name(e2e)
        self._note_rules(attributes)

    def _is_invisible(self, style: str) -> bool:
        """Return whether an element's own style hides it."""
        lower = style.lower()
        if not any(word in lower for word in _HIDING):
            return False
        self._extra_cost += _STYLE_COST
        return bool(_INVISIBLE.search(lower))

    def _hide(self) -> None:
        self._hidden = self._hidden or self.depth

    def _start_headline(self, *, is_dialog: bool) -> None:
        if not self._hidden and not self._headline:
            self._headline = self.depth
            self._is_dialog = is_dialog
            self._headline_parts = []

    def _add_to_headline(self, text: str) -> None:
        if len(self._headline_parts) < MAX_HEADLINE_CHARS:
            self._headline_parts.append(text)

    def _finish_headline(self) -> None:
        """Store the beginning of a dialog's text, or a heading."""
        self._headline = 0
        self._extra_cost += _TELLING_COST
        headlines = self._reading.headlines if self._is_dialog else self._page_headlines
        if len(headlines) < MAX_HEADLINES:
            headlines.append("".join(self._headline_parts)[:MAX_HEADLINE_CHARS])

    def _note_rules(self, attributes: dict[str, str]) -> None:
        for rule in rules_met(attributes):
            self._extra_cost += _RULE_COST
            if not (self._hidden and is_captcha(rule)):
                self._reading.rules[rule] += 1

    def _note_name(self, name: str) -> None:
        if not self._hidden and name not in self._names and len(self._names) < _MAX_NAMES:
            self._names.add(name)
            self._extra_cost += _NAME_COST
            if _GATE_NAME.search(normal := normal_name(name)):
                self._reading.names.append(normal)

    def _start_script(self, attributes: dict[str, str]) -> None:
        source = attributes.get("src", "")
        self._note_source(source)
        self._extra_cost += _SCRIPT_COST
        self._reading.has_script = self._reading.may_pass = True
        self._reading.loads_shop_captcha |= SHOP_CAPTCHA in source
        id_ = attributes.get("id", "")
        if id_ in self._ids:
            id_ = ""
        type_ = attributes.get("type", "").strip().lower()
        # Browsers ignore the text of a script with `src`, and don't run one with `nomodule`.
        is_code = type_ in _CODE_TYPES and attributes.keys().isdisjoint({"src", "nomodule"})
        if id_ or is_code:
            self._collect("script", id_, is_code=is_code)

    def _note_source(self, source: str) -> None:
        self._reading.is_tiktok |= any(name in source for name in _HOSTS)
        self._reading.is_proven |= bool(_OWN_SOURCE.match(source[:_MAX_TITLE_CHARS]))

    def _note_link(self, attributes: dict[str, str]) -> None:
        address = attributes.get("href", "")
        relation = attributes.get("rel", "").lower().split()
        if "canonical" in relation:
            self.note_address(address)
        elif "stylesheet" in relation or ("preload" in relation and attributes.get("as", "script") in _CODE):
            self._note_source(address)
        else:
            self._reading.is_tiktok |= any(name in address for name in _HOSTS)

    def _note_meta(self, attributes: dict[str, str]) -> None:
        name = attributes.get("property") or attributes.get("name") or ""
        content = attributes.get("content", "")
        if attributes.get("name") == PUMBAA:
            self._extra_cost += _RULE_COST
            self._reading.login_flags.append(content[:_MAX_FLAGS_CHARS])
            self._reading.is_tiktok = self._reading.is_proven = True
        elif name in _SITE_NAMES:
            self._reading.is_tiktok |= "tiktok" in content.lower()
            self._reading.is_proven |= content.strip().lower() == "tiktok"
        elif name == "og:url":
            self._extra_cost += _ADDRESS_COST
            if is_tiktok_address(content):
                self._reading.is_tiktok = self._reading.is_proven = True
        elif attributes.get("http-equiv", "").lower() == "refresh":
            self._reading.may_pass = True
