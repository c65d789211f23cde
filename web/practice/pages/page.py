"""The possible pages: states, eras and kinds, and the combinations that make sense."""

import enum
import itertools
from collections.abc import Iterator, Mapping

import attrs


class State(enum.Enum):
    """What a page says about its viewer. A challenge says nothing, and must not be taken for either other."""

    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"
    CHALLENGE = "challenge"


class Era(enum.Enum):
    """How a page carries its state, by the years in which the real site did it that way.

    `next`: 2020-21. `sigi`: 2022, as JSON; `sigi_literal`: the same as a JavaScript literal that is not JSON.
    `universal`: 2023 on.
    """

    NEXT = "next"
    SIGI = "sigi"
    SIGI_LITERAL = "sigi_literal"
    UNIVERSAL = "universal"


class Kind(enum.Enum):
    """What a page shows: the first six are content, the other five challenges in place of it or on top.

    `profile` shows the profile of somebody other than the viewer. `messages` names no viewer in its data.
    """

    HOME = "home"
    PROFILE = "profile"
    LIVE = "live"
    MOBILE = "mobile"
    STUDIO = "studio"
    MESSAGES = "messages"
    SECURITY_CHECK = "security_check"
    FIREWALL = "firewall"
    SHOP_CAPTCHA = "shop_captcha"
    OVERLAY = "overlay"
    TINY = "tiny"


_FROM_2022 = (Era.SIGI, Era.UNIVERSAL)
_LATEST = (Era.UNIVERSAL,)
_ERAS: Mapping[Kind, tuple[Era, ...]] = {
    Kind.HOME: tuple(Era),
    Kind.PROFILE: tuple(Era),
    Kind.LIVE: _FROM_2022,
    Kind.MOBILE: (Era.NEXT, Era.SIGI, Era.UNIVERSAL),
    Kind.STUDIO: _LATEST,
    Kind.MESSAGES: _LATEST,
    Kind.SECURITY_CHECK: _FROM_2022,
    Kind.FIREWALL: _LATEST,
    Kind.SHOP_CAPTCHA: _LATEST,
    Kind.OVERLAY: _FROM_2022,
    Kind.TINY: _LATEST,
}
CHALLENGES = (Kind.SECURITY_CHECK, Kind.FIREWALL, Kind.SHOP_CAPTCHA, Kind.OVERLAY, Kind.TINY)


class NoSuchPage(ValueError):
    """No page has this state, era and kind. The message tells humans why."""


@attrs.frozen
class Page:
    """One of the pages. Raises NoSuchPage if the combination makes no sense.

    A page that is not `rendered` is the shell that the browser gets before any script has run: it has the
    data but not the elements.
    """

    state: State
    era: Era
    kind: Kind
    rendered: bool = True

    def __attrs_post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise NoSuchPage(problem)

    @classmethod
    def parse(cls, state: str, era: str, kind: str, rendered: str = "true") -> "Page":
        """Return the page that these words name. `rendered` is "true" or "false".

        Raises NoSuchPage for a bad combination, or for an unknown word; it then lists the known ones.
        """
        return cls(
            State(_known("state", state, [member.value for member in State])),
            Era(_known("era", era, [member.value for member in Era])),
            Kind(_known("kind", kind, [member.value for member in Kind])),
            _known("rendered", rendered, ["true", "false"]) == "true",
        )

    @property
    def name(self) -> str:
        """The page's name in one word, unique among all pages."""
        words = [self.state.value, self.era.value, self.kind.value]
        return "-".join(words if self.rendered else [*words, "unrendered"])

    @property
    def query(self) -> str:
        """The words that `parse` takes, as an address's query."""
        rendered = str(self.rendered).lower()
        return f"state={self.state.value}&era={self.era.value}&kind={self.kind.value}&rendered={rendered}"


def all_pages() -> Iterator[Page]:
    """Yield every possible page once, in a fixed order."""
    for state, era, kind, rendered in itertools.product(State, Era, Kind, (True, False)):
        try:
            page = Page(state, era, kind, rendered)
        except NoSuchPage:
            continue
        yield page


def _problem(page: Page) -> str | None:
    kind, era = page.kind.value, page.era.value
    if (page.kind in CHALLENGES) != (page.state is State.CHALLENGE):
        return f"kind {kind} can't have the state {page.state.value}"
    if page.era not in _ERAS[page.kind]:
        eras = " or ".join(known.value for known in _ERAS[page.kind])
        return f"kind {kind} does not exist in the era {era}, only in {eras}"
    if page.kind is Kind.MESSAGES and page.state is not State.LOGGED_IN:
        return f"kind {kind} is shown to logged_in viewers only"
    if not page.rendered and page.kind in (*CHALLENGES, Kind.MESSAGES):
        return f"kind {kind} is always rendered"
    return None


def _known(what: str, word: str, known: list[str]) -> str:
    if word not in known:
        raise NoSuchPage(f"{what} must be one of {', '.join(known)}")
    return word
