"""What each error code means, for people: `docs/errors.md` and the OpenAPI description are made of it."""

from collections.abc import Mapping
from typing import Final

import attrs


@attrs.frozen
class Advice:
    """Why a code comes, what to do about it, and the text that it comes with, as an example."""

    cause: str
    cure: str
    example: str


GUIDE: Final[Mapping[str, Advice]] = {
    # HTTP itself, and who may ask
    "BAD_REQUEST": Advice(
        "The request is not valid HTTP/1.1, has no `Host` or several, or asks for a WebSocket in a wrong way "
        "or at a path that has none.",
        "Fix the client. `details` says what is wrong.",
        "HTTP/1.1 demands exactly one Host header",
    ),
    "UNAUTHORIZED": Advice(
        "The daemon has tokens, and the request has neither one of them nor the dashboard's cookie; or a "
        "link has expired or was revoked.",
        "Send `Authorization: Bearer TOKEN`, or ask for a new link.",
        "Send the daemon's token as `Authorization: Bearer TOKEN`",
    ),
    "HOST_NOT_ALLOWED": Advice(
        "The `Host` header names another host.",
        "Use the daemon's own address, or add the name to `allowed_hosts`.",
        "The Host header names another host; allowed_hosts can add names",
    ),
    "ORIGIN_NOT_ALLOWED": Advice(
        "The request comes from a web page whose origin is not in `cors_origins`, or follows a link on "
        "another site.",
        "Add the page's origin to `cors_origins`, if you trust it.",
        "The page's origin is not among cors_origins",
    ),
    "NOT_ALLOWED": Advice(
        "Whoever asks has a link or a token that allows less. `details` says what would be needed.",
        "Use a token with the scope that is needed, or ask an operator for one.",
        "This link is for watching one session only",
    ),
    "TOO_MANY_REQUESTS": Advice(
        "More requests came with a token than it allows.",
        "Wait for `Retry-After`, or let the token have a higher limit.",
        "Too many requests",
    ),
    "TOO_MANY_STREAMS": Advice(
        "One token has 200 streams of events open, or one link or a token that only reads has 20.",
        "Close one, or read one stream for all sessions.",
        "20 streams of events are open: close one",
    ),
    "TOO_MANY_SESSIONS": Advice(
        "There are as many sessions as the token is for, counting those that are not quite ended.",
        "End one, wait for `Retry-After`, or let the token have a higher limit.",
        "worker may have 2 sessions at once",
    ),
    "MCP_NOT_INSTALLED": Advice(
        "The daemon was installed without the extra `mcp`.",
        "Install `greenroom[mcp]`, and start the daemon again.",
        "The daemon was installed without the extra `mcp`: `pip install 'greenroom[mcp]'`",
    ),
    "NOT_FOUND": Advice(
        "There is no such path.",
        "Look for it in `/docs`.",
        "There is nothing at this path: /docs shows what there is",
    ),
    "METHOD_NOT_ALLOWED": Advice(
        "The path does not support the method.",
        "Use one that the header `Allow` lists.",
        "This path takes GET, HEAD, OPTIONS",
    ),
    "REQUEST_TIMEOUT": Advice(
        "The headers or the body took too long to arrive.",
        "Send the request again, over a faster connection or in smaller parts.",
        "The request's body took longer than 20 seconds",
    ),
    "REQUEST_ENTITY_TOO_LARGE": Advice(
        "The body is larger than this path takes: 64 KiB, or 512 KiB for MCP, 2 MiB for imports, 3 MiB "
        "for actions and fetch, 51 MiB for files.",
        "Send less at once.",
        "The request's body is larger than 65536 bytes",
    ),
    "REQUEST_URI_TOO_LARGE": Advice(
        "The path and the query have more than 16 KiB.",
        "Shorten the query.",
        "The request's target is too large",
    ),
    "REQUEST_HEADER_FIELDS_TOO_LARGE": Advice(
        "The headers have more than 16 KiB.",
        "Send fewer or smaller headers.",
        "The request's headers are too large",
    ),
    "UPGRADE_REQUIRED": Advice(
        "The path is a WebSocket, and the request is plain HTTP.",
        "Connect with a WebSocket; `live.jpg` and `live.mjpeg` have the pictures over plain HTTP.",
        "Connect with a WebSocket; live.jpg and live.mjpeg are plain HTTP",
    ),
    "NOT_IMPLEMENTED": Advice(
        "The body has a transfer encoding that is not chunked.",
        "Send the body with a `Content-Length`, or chunked.",
        "Chunked is the only Transfer-Encoding that is understood",
    ),
    "SERVICE_UNAVAILABLE": Advice(
        "Too many large bodies are being sent at once.",
        "Send it again later.",
        "Too many large requests are under way: send it again later",
    ),
    "HTTP_VERSION_NOT_SUPPORTED": Advice(
        "The request is neither HTTP/1.1 nor HTTP/1.0.",
        "Speak HTTP/1.1; a proxy in front can speak HTTP/2 and TLS.",
        "Only HTTP/1.1 and HTTP/1.0 are spoken",
    ),
    "INTERNAL_ERROR": Advice(
        "Something unexpected happened, such as a browser that died or a profile that can't be read.",
        "Look for the `id` in the log: the line has the reason. `greenroom doctor` may find it too.",
        "An internal error occurred",
    ),
    "INVALID_REQUEST": Advice(
        "A field of the body, a header or the query is wrong.",
        "Fix what `details` names.",
        "Object contains unknown field `ttl` - at `$`",
    ),
    # Creating a session
    "NOT_LOGGED_IN": Advice(
        "The page does not show a login, or shows the account behind a gate. `reason` says how.",
        "Do what `hint` says: mostly `greenroom login`. With the reason `rate_limited`, wait for "
        "`Retry-After`; `retryable` is true then.",
        "User is not logged in to TikTok",
    ),
    "SESSION_DELETED": Advice(
        "Somebody deleted the session while it was being created.",
        "Create another.",
        "The session was deleted",
    ),
    "NOT_A_PROFILE": Advice(
        "The master profile's directory has something else in it.",
        "Check `user_data_master_dir`, or log in to a new profile.",
        "User data directory is not a Firefox profile",
    ),
    "USER_DATA_LOCKED": Advice(
        "The master profile is open in a browser or a `greenroom login`, is being written by a session, or "
        "changes all the time. `holder` says who has it, if that is known.",
        "Close what has it open, or wait for `Retry-After`.",
        "User data directory is locked by another process",
    ),
    "SESSION_TIMEOUT": Advice(
        "Creating the session took longer than `session_creation_timeout`. `phase` says how far it got.",
        "Try again. If it keeps coming, launch fewer sessions at once or raise the setting.",
        "Session creation timed out after 30 seconds",
    ),
    "UPSTREAM_UNREACHABLE": Advice(
        "No page came: name resolution, connection refused or reset, HTTP 5xx, or no page but a download.",
        "Check the network and the `proxy`; try again later.",
        "The page could not be loaded",
    ),
    "CAPACITY_EXHAUSTED": Advice(
        "There are `max_sessions` already.",
        "Wait for `Retry-After`, end a session, or raise the setting.",
        "The session limit (10) is reached",
    ),
    "OVERLOADED": Advice(
        "The queue of launches is too long for one more session to be ready in time.",
        "Wait for `Retry-After`.",
        "Too many sessions are queued to launch another in time",
    ),
    "RESOURCES_EXHAUSTED": Advice(
        "The machine has too little disk space, memory, file descriptors or pids for one more session.",
        "Free what `details` names, or end a session.",
        "Not enough memory for another session",
    ),
    "OVER_BUDGET": Advice(
        "The session used more memory, processes or disk space than its budget, and has ended.",
        "Try again; if the page needs that much, raise `session_memory_mb`, `session_processes` or "
        "`session_disk_mb`.",
        "The session used 4200 MB of memory, more than its budget of 4096 MB",
    ),
    "NOT_READY": Advice(
        "A session that is asked for now could not be expected to go live. `details` says why.",
        "Do what `details` says: `GET /health` has all checks.",
        "The profile is logged out",
    ),
    "DRAINING": Advice(
        "The daemon is stopping.", "Ask again once it has been started.", "Greenroom is shutting down"
    ),
    # Profiles
    "PROFILE_NOT_FOUND": Advice(
        "There is no profile of this name.",
        "Check the name: `GET /profiles` lists them. Logging in to a profile makes it.",
        "There is no profile 'shop': `greenroom login shop` makes one",
    ),
    "PROFILE_NOT_REPLACED": Advice(
        "A new state of the profile could not take the old one's place. The profile is as it was.",
        "Do what `details` says, and try again.",
        "The session has ended early",
    ),
    "INVALID_LOGIN_FILE": Advice(
        "The file is no `cookies.txt`, cookies in JSON or storage state, or it has no login for the site.",
        "Export it again from a browser that is logged in. `details` names the line or the field.",
        "Line 3 is no cookie: expected 7 fields",
    ),
    # One session
    "SESSION_NOT_FOUND": Advice(
        "There is no session of this id; it may have ended more than 15 minutes ago.",
        "Create another.",
        "No such session",
    ),
    "NOT_LIVE": Advice(
        "The session is still being created, or waits for a request.",
        "Ask again once it is live.",
        "The session is not live yet: it is launching",
    ),
    "SESSION_ENDED": Advice(
        "The session has ended, or is about to. A command that it was carrying out may be done in part.",
        "Create another. `end_reason` and `receipt` say how it ended.",
        "The session has ended: expired",
    ),
    "CLEANUP_INCOMPLETE": Advice(
        "The session has ended, but something that it owned could not be removed.",
        "Look at `GET /leaks` and at the log; the next start of the daemon tries again.",
        "The session has ended, but cleanup left: clone",
    ),
    "HISTORY_NOT_KEPT": Advice(
        "The daemon keeps no history: `history_days` is 0, or there is no place for it.",
        "Set `history_days`, or `XDG_STATE_HOME` as the log says, and start the daemon again.",
        "Either history_days is 0, or there is no place for it: see the log",
    ),
    "HISTORY_UNAVAILABLE": Advice(
        "The history's file can't be read. The log says why; `docs/history.md` says what to do.",
        "Have an operator look at the log. Sessions go on without it.",
        "The history of ended sessions can't be read",
    ),
    "BUNDLE_NOT_FOUND": Advice(
        "Nothing is kept of this session: it has not failed, that was more than a day ago, or nothing is "
        "kept at all.",
        "Set `recorder_seconds`, and ask within a day.",
        "Nothing is kept of this session; bundles are kept for a day",
    ),
    # Commands
    "ACTION_FAILED": Advice(
        "The page could not do this: no such element, an element that is covered or disabled, a script that "
        "threw.",
        "`explanation` says more. Look at a fresh snapshot.",
        "The page could not do this",
    ),
    "ACTION_TIMEOUT": Advice(
        "The page did not do this in time. `explanation` says what it waited for.",
        "Try again, or give the action a longer `timeout`.",
        "The page did not do this in time",
    ),
    "AMBIGUOUS_TARGET": Advice(
        "The target matches several elements: `matches` of them.",
        "Use a ref of a snapshot, or a narrower selector.",
        "The target matches several elements",
    ),
    "STALE_REF": Advice(
        "The ref is not of the page's latest snapshot.",
        "Take the ref from `snapshot`, which is a fresh one.",
        "The ref is not of the page's latest snapshot",
    ),
    "NAVIGATION_FAILED": Advice(
        "The URL could not be loaded: name resolution, refused, reset.",
        "Check the URL, and try again.",
        "The page could not be loaded",
    ),
    "PAGE_CRASHED": Advice(
        "The page's process has crashed.",
        "Reload the page, navigate, or open another.",
        "The page has crashed",
    ),
    "DIALOG_OPEN": Advice(
        "The page shows a dialog, and does nothing until that is answered.",
        "Answer it with the action `dialog`.",
        "The page shows a dialog",
    ),
    "PAGE_NOT_FOUND": Advice(
        "The session has no page of this name, or not any more.",
        "Take a name that `GET .../pages` lists.",
        "There is no page p9",
    ),
    "FILE_NOT_FOUND": Advice(
        "The session has no file, or no download, of this name.",
        "Send the file first with `POST .../files`; `GET .../downloads` lists downloads.",
        "There is no file of this name",
    ),
    "PAGE_TOO_LARGE": Advice(
        "What was asked for has more bytes than may be sent.",
        "Ask for less: one element, a part of the page, a smaller file.",
        "The content is too large",
    ),
    "STORAGE_FAILED": Advice(
        "A file or a large result of the session can't be written.",
        "Free disk space where `clones_dir` is, and try again.",
        "The session's files can't be written",
    ),
    "CONTROL_HELD": Advice(
        "A person has control of the session, or programs have it back. `held` says who, and until when.",
        'Wait for `Retry-After`, or ask with `"on_held": "wait"`.',
        "Ada has control of this session",
    ),
    "TOO_MANY_COMMANDS": Advice(
        "16 commands wait in the session already.",
        "Wait for the answers to those that you have sent.",
        "16 commands wait for their turn in this session",
    ),
    "TOO_MANY_CLIENTS": Advice(
        "8 clients are attached to the session already.",
        "Close one of them.",
        "8 clients are attached to this session",
    ),
    "TOO_MANY_WATCHERS": Advice(
        "50 watch the session already, or 5 by the same link.",
        "Wait until one of them has left.",
        "50 watch this session",
    ),
}
