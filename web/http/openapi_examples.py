"""An example of each body, made of the type that describes it."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from greenroom.actors import resources
from greenroom.actors.actions.actions import Click, Navigate
from greenroom.actors.actions.results import ActionResult, PageInfo
from greenroom.actors.lifecycle import (
    EndReason,
    Held,
    ProcessCount,
    ProfileInfo,
    ProfileMode,
    Purpose,
    SessionState,
    WatchMode,
)
from greenroom.actors.machine.ports import HostInfo, OwnedDirectory, OwnedProcess
from greenroom.actors.verdict import LoginReason, LoginState, Method
from greenroom.supervisor.history import Outcome, Percentiles
from greenroom.supervisor.self_check import Check, Condition, Subject
from greenroom.web.http.event_messages import EventMessage, GapMessage
from greenroom.web.http.history_schemas import HistoryAnswer, HistoryEntry
from greenroom.web.http.monitoring_schemas import PressureAnswer, Ready
from greenroom.web.http.profile_schemas import (
    BrowseRequest,
    ImportAnswer,
    ProfileAnswer,
    ProfileLoginRequest,
    ProfilesAnswer,
    StartedAnswer,
)
from greenroom.web.http.reading_schemas import (
    ConsoleLine,
    CookieLine,
    DownloadLine,
    Fetched,
    NetworkLine,
    OriginState,
    StorageLines,
)
from greenroom.web.http.schemas import (
    Actions,
    AllSessions,
    ControlAnswer,
    ControlRequest,
    ExtendRequest,
    FetchRequest,
    Files,
    Health,
    Leaks,
    LinkAnswer,
    LinkInfo,
    LinkRequest,
    LinksAnswer,
    LoginRequest,
    OneSession,
    OverviewAnswer,
    Owned,
    PlaywrightAnswer,
    Session,
    TikTokSessionRequest,
    TikTokSessionResponse,
    Usage,
    VerdictAnswer,
    WhoAmI,
)

_ID: Final = "f6bca456-6c11-404b-bf49-f08a42364bbf"
_HOST: Final = "127.0.0.1:8700"
_LIVE: Final = f"http://{_HOST}/tiktok/session/{_ID}/live"
_PLAYWRIGHT: Final = f"ws://{_HOST}/tiktok/session/{_ID}/playwright"
_URL: Final = "https://www.tiktok.com/upload"
_AT: Final = datetime(2026, 11, 26, 7, 47, 33, tzinfo=UTC)
_UNTIL: Final = datetime(2026, 11, 26, 7, 52, 33, tzinfo=UTC)
_UNIX: Final = math.floor(_AT.timestamp())
_USED: Final = resources.Usage(memory_bytes=690_000_000, processes=7, disk_bytes=41_000_000)

_SESSION: Final = Session(
    id=_ID,
    state=SessionState.LIVE,
    created_at=_AT,
    expires_at=_UNTIL,
    login_state=LoginState.LOGGED_IN,
    login_reason=LoginReason.VIEWER_OBJECT,
    login_method=Method.HTML,
    phase_ms={"cloning": 12, "launching": 1190, "navigating": 640, "judging": 38, "live": 5003},
    end_reason=None,
    usage=Usage.of(_USED),
    receipt=None,
    is_requested=True,
    clients=0,
    refused_calls=0,
    has_bundle=False,
    control=None,
    watchers=(),
    watched=(),
    profile="default",
    profile_mode=ProfileMode.READ,
    purpose=Purpose.SESSION,
)
_HELD: Final = Held(by="Ada", since=_AT, until=_UNTIL)
_CHECKS: Final = {subject: Check(health=Condition.OK, since=_AT) for subject in Subject}
_PROFILE: Final = ProfileInfo(
    name="default", generation=3, committed_at=_AT, login=("sessionid",), login_expires_at=_UNTIL
)
_ENDED: Final = HistoryEntry(
    id=_ID,
    created_at=_AT,
    ended_at=_UNTIL,
    outcome=Outcome.SERVED,
    end_reason=EndReason.EXPIRED,
    error=None,
    profile="default",
    profile_mode=ProfileMode.READ,
    purpose=Purpose.SESSION,
    was_warm=False,
    login_state=LoginState.LOGGED_IN,
    login_reason=LoginReason.VIEWER_OBJECT,
    creation_ms=1880,
    phase_ms={
        "cloning": 12,
        "launching": 1190,
        "navigating": 640,
        "judging": 38,
        "live": 300_002,
        "ending": 210,
    },
    peak_memory_bytes=_USED.memory_bytes,
    peak_processes=_USED.processes,
    peak_disk_bytes=_USED.disk_bytes,
    processes=ProcessCount(politely=7),
    bytes_freed=_USED.disk_bytes,
    left=(),
    held=(),
    commit=None,
    refused_calls=0,
    has_bundle=False,
    bundle=None,
)
_LINK: Final = LinkInfo(id="0aB3", mode=WatchMode.VIEW, name="Ada", expires_at=_UNTIL)
_TOKEN: Final = "gl1.0aB3.5f2c"  # noqa: S105  # of no link
_PAGE: Final = PageInfo(id="p1", url=_URL, title="Upload")
_COOKIE: Final = CookieLine(
    name="sessionid",
    value="...",
    domain=".tiktok.com",
    path="/",
    expires=_UNIX,
    http_only=True,
    secure=True,
    same_site="Lax",
)
_NOTHING: Final = Owned(processes=(), directories=(), entries=(), bytes=0)

_BODIES: Final[tuple[Any, ...]] = (
    TikTokSessionRequest(),
    TikTokSessionResponse(message="TikTok session established successfully"),
    OneSession(message="Session is live", session=_SESSION, viewer="ada", playwright=_PLAYWRIGHT),
    AllSessions(message="1 session", sessions=[_SESSION], warm=1, checks=_CHECKS),
    OverviewAnswer(
        message="1 of 10 sessions",
        sessions=[_SESSION],
        warm=[],
        ended=[],
        hosts=(HostInfo(id="h1", sessions=1),),
        max_sessions=10,
        last_event_id="3f9a-17",
        checks=_CHECKS,
        engine="camoufox 135.0",
        sandbox="bubblewrap",
        has_token=True,
    ),
    Leaks(
        message="Nothing is leaked",
        owned=Owned(
            processes=(OwnedProcess(pid=4711, name="firefox", session=_ID),),
            directories=(OwnedDirectory(name=_ID, session=_ID, bytes=41_000_000),),
            entries=(_ID,),
            bytes=41_000_000,
        ),
        leaked=_NOTHING,
    ),
    Health(checks=_CHECKS),
    Ready(),
    PressureAnswer(
        message="There is room",
        sessions=1,
        warm=1,
        max_sessions=10,
        room=9,
        queued=0,
        launching=0,
        next_free_at=None,
    ),
    HistoryAnswer(
        message="1 session has ended",
        sessions=[_ENDED],
        next=None,
        total=1,
        outcomes={Outcome.SERVED: 1},
        creation_ms=Percentiles(count=1, p50=1880, p90=1880, p99=1880),
        phase_ms={"cloning": Percentiles(count=1, p50=12, p90=12, p99=12)},
        problem=None,
    ),
    WhoAmI(message="operator may do everything", name="operator", scope="admin", profiles=None),
    ExtendRequest(extend_s=120),
    Actions(
        message="1 action carried out",
        results=(ActionResult(kind="navigate", ms=157, page="p1", value=msgspec.Raw(b'{"status":200}')),),
        page=_PAGE,
    ),
    FetchRequest(url="https://www.tiktok.com/api/me"),
    Fetched(
        status=200,
        url="https://www.tiktok.com/api/me",
        headers={"content-type": "application/json"},
        body_base64="e30=",
    ),
    Files(message="1 stored", files=("holiday.mp4",)),
    PlaywrightAnswer(
        message="Connect with firefox.connect()",
        address=_PLAYWRIGHT,
        driver="1.62.0",
        clients=0,
        refused_calls=0,
    ),
    VerdictAnswer(
        message="The page says: logged in",
        login_state=LoginState.LOGGED_IN,
        login_reason=LoginReason.VIEWER_OBJECT,
        login_method=Method.HTML,
        elapsed_ms=38,
        viewer="ada",
    ),
    ControlRequest(holder="human", ttl_s=60, name="Ada"),
    ControlAnswer(message="You have control", control=_HELD, lease="wC9x"),
    LinkRequest(mode=WatchMode.VIEW, ttl_s=3600, name="Ada"),
    LinkAnswer(
        message="Give this address to one person",
        link=_LINK,
        address=f"{_LIVE}#link={_TOKEN}&mode=view",
        token=_TOKEN,
    ),
    LinksAnswer(message="1 links", links=(_LINK,)),
    LoginRequest(token="the daemon's token"),  # noqa: S106  # none
    EventMessage(id="3f9a-17", at=_AT, type="session.live", session_id=_ID, session=_SESSION),
    GapMessage(type="gap", details="Events are missing: the daemon has restarted since"),
    ProfilesAnswer(message="1 profile", profiles=(_PROFILE,)),
    ProfileAnswer(message="Profile default", profile=_PROFILE),
    ProfileLoginRequest(timeout_s=600),
    BrowseRequest(url=_URL),
    StartedAnswer(message="Log in there; the session ends once you are", session=_SESSION, live=_LIVE),
    ImportAnswer(
        message="The profile default is logged in",
        profile="default",
        generation=4,
        cookies=("sessionid",),
        expired=(),
        left_out=12,
    ),
)

EXAMPLES: Final[Mapping[type, Any]] = {type(body): body for body in _BODIES}
"""An example of each body, by its type."""

READINGS: Final[Mapping[str, Any]] = {
    "snapshot": '- button "Upload" [ref=e5]\n',
    "html": "<!doctype html><title>Upload</title>",
    "pages": [_PAGE],
    "cookies": [_COOKIE],
    "storage": StorageLines(
        cookies=[_COOKIE],
        origins=[
            OriginState(origin="https://www.tiktok.com", local_storage=[{"name": "theme", "value": "dark"}])
        ],
    ),
    "console": [ConsoleLine(at=_UNIX, type="log", text="ready", page="p1")],
    "network": [
        NetworkLine(at=_UNIX, method="GET", url=_URL, resource="document", status=200, error=None, ms=310)
    ],
    "downloads": [DownloadLine(name="video.mp4", url=_URL)],
}
"""An example of what each resource of a session is."""

ACTIONS: Final[Mapping[str, Any]] = {
    "one": Click(target="e5"),
    "several": {"actions": [Navigate(url=_URL), Click(target="e5")], "snapshot": True},
}
"""Examples of the body of `POST .../actions`."""


def as_json(body: Any) -> Any:
    """Return a body as the JSON that clients get, decoded."""
    return msgspec.json.decode(msgspec.json.encode(body))
