"""Pages as HTML: the templates, filled in from `evidence` and `data`."""

import functools
import json
from pathlib import Path

import jinja2
from markupsafe import Markup

from greenroom.web.practice.pages.ballast import TRAPS
from greenroom.web.practice.pages.data import data_of_nobody_in_particular, data_scripts
from greenroom.web.practice.pages.evidence import evidence_of
from greenroom.web.practice.pages.page import CHALLENGES, Era, Kind, Page, State
from greenroom.web.practice.pages.viewer import INVENTED_VIEWER, Viewer

TEMPLATES = Path(__file__).parent.parent / "templates"
_ROOTS = {Era.NEXT: "__next", Era.SIGI: "app", Era.SIGI_LITERAL: "app", Era.UNIVERSAL: "app"}


def render(page: Page, viewer: Viewer | None = None, *, feed_top: str = "", tail: str = "") -> str:
    """Return the page's HTML. The same arguments always give the same HTML.

    `viewer` is who sees a logged-in page, by default an invented person; a logged-out page ignores it. An
    overlay lies over the home of `viewer` or, without one, over the logged-out home. `feed_top` is HTML to
    put at the top of a rendered feed, `tail` HTML to put at the end of the page. Challenges other than the
    overlay ignore both.
    """
    if page.kind is Kind.OVERLAY:
        state = State.LOGGED_OUT if viewer is None else State.LOGGED_IN
        return _full(Page(state, page.era, Kind.HOME), viewer, feed_top, tail, overlay=True)
    if page.kind in CHALLENGES:
        return _template(f"pages/{page.kind.value}.html").render(era=page.era.value)
    if page.state is State.LOGGED_OUT:
        return _full(page, None, feed_top, tail)
    return _full(page, viewer or INVENTED_VIEWER, feed_top, tail)


def render_uncertain() -> str:
    """Return a page that is as heavy as any and has all the traps, but carries no evidence."""
    data = Markup(data_of_nobody_in_particular())  # noqa: S704  # our own, and encoded
    return _template("pages/uncertain.html").render(traps=TRAPS, data=data, root="app")


def _full(page: Page, viewer: Viewer | None, feed_top: str, tail: str, *, overlay: bool = False) -> str:
    evidence = evidence_of(page)
    content = _content(page, viewer, feed_top) if page.rendered else ""
    return _template("pages/full.html").render(
        content=Markup(content),  # noqa: S704  # made by our templates
        data=Markup(data_scripts(page, viewer)),  # noqa: S704  # encoded for scripts
        late=Markup(_late_homes(page.era, viewer)) if evidence.late else "",  # noqa: S704  # encoded
        late_index=int(viewer is not None),
        overlay=overlay,
        pumbaa=evidence.pumbaa,
        login=int(viewer is not None),
        region="NL",
        root=_ROOTS[page.era],
        tail=Markup(tail),  # noqa: S704  # HTML by contract
        title=page.kind.value.capitalize() if page.kind is not Kind.HOME else "For You",
        traps=TRAPS,
    )


def _late_homes(era: Era, viewer: Viewer | None) -> str:
    """Return the logged-out and the logged-in home, rendered, as a list for a script.

    Every script has both, as the real ones do: a page that could show a login button proves nothing.
    """
    nobodys = _content(Page(State.LOGGED_OUT, era, Kind.HOME), None, "")
    somebodys = _content(Page(State.LOGGED_IN, era, Kind.HOME), viewer or INVENTED_VIEWER, "")
    return json.dumps([nobodys, somebodys], ensure_ascii=False).replace("<", "\\u003C")


def _content(page: Page, viewer: Viewer | None, feed_top: str) -> str:
    evidence = evidence_of(page)
    name = "shell" if page.kind in (Kind.HOME, Kind.PROFILE) else page.kind.value
    return _template(f"pages/_{name}.html").render(
        feed_top=Markup(feed_top),  # noqa: S704  # HTML by contract
        ids=evidence.ids,
        kind=page.kind.value,
        marks=evidence.marks,
        name=viewer and viewer.handle,
    )


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,
        keep_trailing_newline=True,
    )


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)
