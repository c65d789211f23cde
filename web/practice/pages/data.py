"""The data that a page carries in script elements. `evidence` says where in it the viewer is named."""

import hashlib
from collections.abc import Mapping

from greenroom.web.practice.pages.ballast import experiments, translations
from greenroom.web.practice.pages.encode import (
    UNDEFINED,
    Encoded,
    Encoder,
    member_of,
    object_of,
    to_escaped_json,
    to_json,
    to_literal,
    to_named_escaped_json,
)
from greenroom.web.practice.pages.evidence import Place, evidence_of
from greenroom.web.practice.pages.page import Era, Kind, Page
from greenroom.web.practice.pages.viewer import VIEWED, Viewer

_Object = Mapping[str, object]
# The viewer object of a page that nobody is logged in to. Pages that are not listed leave it out.
_NOBODY: Mapping[tuple[Era, Kind, bool], object] = {
    (Era.NEXT, Kind.PROFILE, True): {},
    (Era.NEXT, Kind.MOBILE, True): None,
    (Era.SIGI, Kind.LIVE, True): {"uid": "", "uniqueId": ""},
    (Era.SIGI, Kind.MOBILE, True): {},
    (Era.SIGI, Kind.PROFILE, False): None,
    (Era.SIGI_LITERAL, Kind.HOME, True): UNDEFINED,
    (Era.SIGI_LITERAL, Kind.HOME, False): UNDEFINED,
    (Era.SIGI_LITERAL, Kind.PROFILE, True): {},
    (Era.UNIVERSAL, Kind.STUDIO, False): {},
}


def data_scripts(page: Page, viewer: Viewer | None) -> str:
    """Return the script elements that carry the page's data. `viewer` is None if nobody is logged in."""
    if page.kind is Kind.STUDIO:
        return _studio(page, viewer)
    match page.era:
        case Era.NEXT:
            return _next(page, viewer)
        case Era.SIGI:
            return _script("SIGI_STATE", _sigi(page, viewer, to_json))
        case Era.SIGI_LITERAL:
            retry = to_literal({"attempts": 0, "after_ms": 3000, "last": UNDEFINED, "why": "nobody's fault"})
            state = _sigi(page, viewer, to_literal)
            statements = f"window['SIGI_STATE']={state};window['SIGI_RETRY']={retry};"
            return f'<script id="sigi-persisted-data">{statements}</script>'
        case Era.UNIVERSAL:
            return _universal(page, viewer)


def data_of_nobody_in_particular() -> str:
    """Return the data of a page that has neither a viewer nor a place for one."""
    scope = object_of(to_json, translations(to_json), experiments(to_json))
    return _script(
        "__UNIVERSAL_DATA_FOR_REHYDRATION__", f'{{"__DEFAULT_SCOPE__":{{"webapp.texts":{scope}}}}}'
    )


def _universal(page: Page, viewer: Viewer | None) -> str:
    context: _Object = {}
    if evidence_of(page).place is Place.UNIVERSAL:
        context = {"webapp.app-context": _context(page) | _viewer_member(page, viewer, "user")}
    shown: dict[str, object] = {"webapp.biz-context": {"os": "linux", "pageType": page.kind.value}}
    if page.kind in (Kind.PROFILE, Kind.MESSAGES):
        shown["webapp.user-detail"] = {"statusCode": 0, "userInfo": _viewed()}
    if page.kind is Kind.LIVE:
        shown["webapp.live-detail"] = {"liveRoomUserInfo": _viewed()}
    scope = object_of(to_json, _texts(to_json, "webapp.i18n-translation"), context, shown, _tests(to_json))
    return _script("__UNIVERSAL_DATA_FOR_REHYDRATION__", f'{{"__DEFAULT_SCOPE__":{scope}}}')


def _sigi(page: Page, viewer: Viewer | None, encode: Encoder) -> str:
    context: _Object = {}
    place = evidence_of(page).place
    if place:
        key = place.value.split()[-1]
        app = _context(page) | _viewer_member(page, viewer, key)
        context = {"AppContext": {"initialized": True, "lang": "en", "appContext": app, "error": None}}
    user = _person(VIEWED) | {"id": VIEWED.uid}
    shown = {
        "UserModule": {"users": {VIEWED.handle: user}, "stats": {VIEWED.handle: {"followerCount": 48_000}}},
        "ItemModule": {VIEWED.uid: {"id": VIEWED.uid, "author": VIEWED.handle, "desc": "Up before the sun"}},
    }
    return object_of(encode, _texts(encode, "I18n"), shown, context, _tests(encode))


def _next(page: Page, viewer: Viewer | None) -> str:
    initial = _context(page) | _viewer_member(page, viewer, "$user")
    shown = {"pageProps": {"statusCode": 0, "userInfo": _viewed()}} if page.kind is Kind.PROFILE else {}
    props = object_of(
        to_json, _texts(to_json, "translations"), {"initialProps": initial}, shown, _tests(to_json)
    )
    rest = {"page": f"/{page.kind.value}", "query": {}, "buildId": _token(page, "build")[:12]}
    data = object_of(to_json, member_of(to_json, "props", props), rest)
    return _script("__NEXT_DATA__", data)


def _studio(page: Page, viewer: Viewer | None) -> str:
    encode = to_escaped_json if page.rendered else to_named_escaped_json
    common = {"commonAppContext": _context(page) | _viewer_member(page, viewer, "user")}
    shown = {"drafts": [], "limits": {"minutes": 10, "gigabytes": 2}}
    data = object_of(encode, _texts(encode, "texts"), common, shown)
    return _script("__Creator_Center_Context__", data)


def _texts(encode: Encoder, key: str) -> Encoded:
    return member_of(encode, key, object_of(encode, translations(encode)))


def _tests(encode: Encoder) -> Encoded:
    return member_of(encode, "abTests", object_of(encode, experiments(encode)))


def _viewer_member(page: Page, viewer: Viewer | None, key: str) -> dict[str, object]:
    if viewer is not None:
        return {key: _person(viewer) | {"hasPassword": True, "unread": 3}}
    absent = object()
    nobody = _NOBODY.get((page.era, page.kind, page.rendered), absent)
    return {} if nobody is absent else {key: nobody}


def _context(page: Page) -> dict[str, object]:
    return {
        "language": "en",
        "region": "NL",
        "appId": 1988,
        "csrfToken": _token(page, "csrf"),
        "wid": Viewer.named(page.name).uid,
        "isMobile": page.kind is Kind.MOBILE,
        "loginBundle": "//sf16-website-login.example.invalid/obj/login/bundle.js",
        "loginPath": "/login",
    }


def _viewed() -> dict[str, object]:
    """Return the owner of the page's content. They are not the viewer."""
    return {
        "user": _person(VIEWED) | {"id": VIEWED.uid},
        "stats": {"followerCount": 48_000, "heart": 910_000},
    }


def _person(who: Viewer) -> dict[str, object]:
    return {
        "uid": who.uid,
        "uniqueId": who.handle,
        "nickName": who.handle.title(),
        "secUid": who.sec_uid,
        "isPrivateAccount": False,
        "signature": "",
    }


def _token(page: Page, purpose: str) -> str:
    return hashlib.sha256(f"{purpose} {page.name}".encode()).hexdigest()[:32]


def _script(name: str, data: str) -> str:
    return f'<script id="{name}" type="application/json">{data}</script>'
