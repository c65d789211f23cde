"""Which evidence of its viewer each page carries. This is the one table that decides it.

| page                            | place of the viewer object           | pumbaa | elements, when rendered |
|---------------------------------|--------------------------------------|--------|-------------------------|
| next home, profile              | `props.initialProps.$user`           | 0      | header                  |
| next mobile                     | the same                             | 0      | none                    |
| sigi home                       | `AppContext.appContext.user`         | 1      | header                  |
| sigi profile                    | `AppContext.appContext.$user`        | 2      | header                  |
| sigi profile, rendered, nobody  | none: no AppContext                  | 0      | header                  |
| sigi live; mobile               | `AppContext.appContext.user`         | 1; 0   | none                    |
| sigi_literal home; profile      | the same; with `$user`               | 1; 0   | header                  |
| universal home; profile         | `webapp.app-context` . `user`        | 1; 2   | header                  |
| universal live                  | the same; none when logged out       | 1      | none                    |
| universal mobile                | the same                             | 1      | none                    |
| universal studio                | `commonAppContext.user`              | 0      | none                    |
| universal messages              | none                                 | 0      | nav-messages, -activity |

A logged-in universal home has no pumbaa. A challenge carries no evidence, except the overlay, which lies over
the era's home.
"""

import enum

import attrs

from greenroom.web.practice.pages.page import Era, Kind, Page, State


class Place(enum.Enum):
    """Where a page's data names its viewer: the keys from the top, separated by spaces."""

    NEXT = "props initialProps $user"
    SIGI_USER = "AppContext appContext user"
    SIGI_DOLLAR_USER = "AppContext appContext $user"
    UNIVERSAL = "__DEFAULT_SCOPE__ webapp.app-context user"
    STUDIO = "commonAppContext user"


@attrs.frozen(kw_only=True)
class Evidence:
    """The evidence on a page of who is looking at it.

    `place` is where the viewer object is or, if nobody is logged in, would be; None if the page has no place
    for one. `pumbaa` counts the `pumbaa-ctx` elements. `marks` are the data-e2e attributes of elements that
    only one kind of viewer sees, `ids` the ids of login buttons. If `late`, a script adds these elements
    about 200 ms after the page has loaded.
    """

    place: Place | None = None
    pumbaa: int = 0
    marks: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    late: bool = False


@attrs.frozen
class _Header:
    logged_in: tuple[str, ...]
    login_button: str
    ids: tuple[str, ...] = ()


_HEADERS = {
    (Era.NEXT, Kind.HOME): _Header(("profile-icon", "inbox-icon"), "top-login-button"),
    (Era.NEXT, Kind.PROFILE): _Header(("profile-icon",), "top-login-button"),
    (Era.SIGI, Kind.HOME): _Header(
        ("profile-icon", "inbox-icon", "top-dm-icon"), "nav-login-button", ("header-login-button",)
    ),
    (Era.SIGI, Kind.PROFILE): _Header(("profile-icon", "inbox-notifications"), "nav-login-button"),
    (Era.SIGI_LITERAL, Kind.HOME): _Header(
        ("inbox-notifications", "top-dm-icon"), "nav-login-button", ("top-right-action-bar-login-button",)
    ),
    (Era.SIGI_LITERAL, Kind.PROFILE): _Header(("profile-icon",), "", ("header-login-button",)),
    (Era.UNIVERSAL, Kind.HOME): _Header(("profile-icon", "inbox-icon", "top-dm-icon"), "top-login-button"),
    (Era.UNIVERSAL, Kind.PROFILE): _Header(
        ("profile-icon", "inbox-icon"), "top-login-button", ("top-right-action-bar-login-button",)
    ),
}
_PUMBAA = {
    (Era.SIGI, Kind.HOME): 1,
    (Era.SIGI, Kind.PROFILE): 2,
    (Era.SIGI, Kind.LIVE): 1,
    (Era.SIGI_LITERAL, Kind.HOME): 1,
    (Era.UNIVERSAL, Kind.HOME): 1,
    (Era.UNIVERSAL, Kind.PROFILE): 2,
    (Era.UNIVERSAL, Kind.LIVE): 1,
    (Era.UNIVERSAL, Kind.MOBILE): 1,
}
_DOLLAR_USER = ((Era.SIGI, Kind.PROFILE), (Era.SIGI_LITERAL, Kind.PROFILE))


def evidence_of(page: Page) -> Evidence:
    """Return the page's evidence. A challenge has none; an overlay's belongs to the page under it."""
    if page.state is State.CHALLENGE:
        return Evidence()
    if page.kind is Kind.MESSAGES:
        return Evidence(marks=("nav-messages", "nav-activity"))
    header = _HEADERS.get((page.era, page.kind))
    late = not page.rendered and page.kind is Kind.HOME
    shown = header is not None and (page.rendered or late)
    marks, ids = _header_evidence(page, header) if header and shown else ((), ())
    return Evidence(place=_place(page), pumbaa=_pumbaa(page), marks=marks, ids=ids, late=late)


def _header_evidence(page: Page, header: _Header) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if page.state is State.LOGGED_IN:
        return header.logged_in, ()
    return ((header.login_button,) if header.login_button else ()), header.ids


def _place(page: Page) -> Place | None:
    if page.kind is Kind.STUDIO:
        return Place.STUDIO
    if page.era is Era.NEXT:
        return Place.NEXT
    if page.era is Era.UNIVERSAL:
        nobody_is_named = page.kind is Kind.LIVE and page.state is State.LOGGED_OUT
        return None if nobody_is_named else Place.UNIVERSAL
    if _has_only_the_button(page):
        return None
    return Place.SIGI_DOLLAR_USER if (page.era, page.kind) in _DOLLAR_USER else Place.SIGI_USER


def _pumbaa(page: Page) -> int:
    says_nothing = page.state is State.LOGGED_IN and (page.era, page.kind) == (Era.UNIVERSAL, Kind.HOME)
    if says_nothing or _has_only_the_button(page):
        return 0
    return _PUMBAA.get((page.era, page.kind), 0)


def _has_only_the_button(page: Page) -> bool:
    return page == Page(State.LOGGED_OUT, Era.SIGI, Kind.PROFILE, rendered=True)
