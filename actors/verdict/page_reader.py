"""Collects the parts of a page that can hold evidence, from the parser's events."""

import re

from greenroom.actors.verdict.dom import FIREWALL_NAME, is_captcha, rules_met
from greenroom.actors.verdict.gates import GATE_NAME, MAX_HEADLINE_CHARS, MAX_HEADLINES, normal_name
from greenroom.actors.verdict.origin import note_address, note_link, note_meta, note_source
from greenroom.actors.verdict.reading import Reading, Script

# Costs are in the units of `parsing`.
ELEMENT_COST = 4
ATTRIBUTE_COST = 3
_TEXT_COST = 2
_MANY_ATTRIBUTES = 16
_TELLING_COST = 4
_SCRIPT_COST = 80
_RULE_COST = 40
_NAME_COST = 30
_NOTE_COST = 6
_STYLE_COST = 12

SHOP_CAPTCHA = "oec-ttweb-captcha"
_MAX_TITLE_CHARS = 1_000
_MAX_TEXT_CHARS = 2_000
_MAX_NAMES = 500
_CODE_TYPES = frozenset({"", "text/javascript", "application/javascript", "module"})
# Browsers, and SingleFile, write a saved page's address into a comment at its top.
_SAVED_FROM = re.compile(r"\s*(?:saved from url=\(\d+\)|Page saved with SingleFile\s+url:\s*)(\S+)")
# Elements inside these are not part of the page.
_INERT = frozenset({"template"})
_TELLING_TAGS = _INERT | {"script", "meta", "link", "title"}
_HEADINGS = frozenset({"h1", "h2", "h3"})
_DIALOG_ROLES = frozenset({"dialog", "alertdialog"})
_HIDING = ("none", "hidden", "opacity")
_INVISIBLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:\.0*)?\s*(?:;|!|$)", re.IGNORECASE
)
# Attributes that make an element worth noting.
_NOTED = frozenset({"data-e2e", "id", "hidden", "style", "aria-hidden", "role", "aria-modal"})
_POSTS = frozenset({"video", "article"})
_POST_NAMES = frozenset({"recommend-list-item-container", "feed-video", "browse-video", "user-post-item"})
# Elements that ask the viewer for something.
_ASKING = frozenset({"form", "input", "button", "a"})
_RAW = frozenset({"script", "style", "noframes"})
_ENDING = _RAW | _INERT
_SPECIAL = _TELLING_TAGS | _HEADINGS | _POSTS | _ASKING | _RAW | {"dialog"}
_GATE_NAME = re.compile(GATE_NAME, re.ASCII)


class PageReader:
    """The parser's target. It fills in a `Reading`. lxml prescribes the names of the event methods."""

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
        """How many elements are open."""
        return self.started - self.ended

    @property
    def cost(self) -> int:
        """The cost of the page so far."""
        return self.started * ELEMENT_COST + self._extra_cost

    def add_cost(self, cost: int) -> None:
        """Add a cost that the parser did not report."""
        self._extra_cost += cost

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Note an element that begins."""
        self.started += 1
        if self._parts is not None:
            self.finish_text()
        if self._headline:
            self._add_to_headline(" ")
        if tag in self._special:
            self._start_special(tag, attributes)
        if attributes:
            count = len(attributes)
            self._extra_cost += count if count < _MANY_ATTRIBUTES else count * ATTRIBUTE_COST
            if self._inert:
                return
            if not _NOTED.isdisjoint(attributes):
                self._note(attributes)
            elif "class" in attributes:
                classes = attributes["class"]
                if "captcha" in classes or FIREWALL_NAME in classes:
                    self._note_rules(attributes)

    def end(self, tag: str) -> None:
        """Note the end of an element."""
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
        """Note text."""
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
        """Note a comment."""
        self._extra_cost += _TEXT_COST
        if saved := _SAVED_FROM.match(text):
            self._extra_cost += note_address(self._reading, saved[1])
        if text.startswith("[CDATA[") and not text.endswith("]]"):
            # Inside an SVG a browser reads on to the CDATA's end; elsewhere it ends where the parser did.
            self._reading.is_whole = False

    def close(self) -> None:
        """Do nothing: `finish` completes the reading, even if the parser failed."""

    def finish(self) -> None:
        """Complete the reading at the end of the page."""
        self.finish_text()
        if self._headline:
            self._finish_headline()
        self._reading.words = "".join(self._words)[:_MAX_TEXT_CHARS]
        if not self._reading.has_posts:
            self._reading.headlines += self._page_headlines

    def finish_text(self) -> None:
        """Store the text of the script or title that has just ended, or that the page ended in."""
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
            self._extra_cost += note_meta(self._reading, attributes)
        elif tag == "link":
            self._extra_cost += note_link(self._reading, attributes)
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
        note_source(self._reading, source)
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
