"""Pages with the structure and weight of the real ones, by state, era and kind.

These are the pages that a login verdict has to tell apart. All people, words and code in them are invented.
`Page` names the possible pages, `evidence_of` says what evidence one carries, and `render` makes its HTML.
Nothing here knows about HTTP.
"""

from greenroom.web.practice.pages.ballast import TRAPS
from greenroom.web.practice.pages.evidence import Evidence, Place, evidence_of
from greenroom.web.practice.pages.page import CHALLENGES, Era, Kind, NoSuchPage, Page, State, all_pages
from greenroom.web.practice.pages.render import render, render_uncertain
from greenroom.web.practice.pages.viewer import INVENTED_VIEWER, VIEWED, Viewer

__all__ = [
    "CHALLENGES",
    "INVENTED_VIEWER",
    "TRAPS",
    "VIEWED",
    "Era",
    "Evidence",
    "Kind",
    "NoSuchPage",
    "Page",
    "Place",
    "State",
    "Viewer",
    "all_pages",
    "evidence_of",
    "render",
    "render_uncertain",
]
