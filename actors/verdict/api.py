"""TikTok's own endpoints that answer for the viewer, asked from inside the page with the page's cookies.

Judged are only the fields that are known: `data.user_id` and `data.username` of account/info, `user` of the
app's context.
"""

from collections.abc import Iterator, Sequence

import attrs

from actors.verdict.data import member
from actors.verdict.hydration import read_viewer, viewer_evidence
from actors.verdict.verdict import Evidence, Finding, LoginReason, Method

ACCOUNT_INFO = "/passport/web/account/info/"
APP_CONTEXT = "/node-webapp/api/common-app-context"
ENDPOINTS = (ACCOUNT_INFO, APP_CONTEXT)
_OK = 200
MAX_ANSWER_CHARS = 256_000

ASK = """
async ([paths, limit]) => Promise.all(paths.map(async (path) => {
    try {
        const answer = await fetch(path, {credentials: "same-origin", redirect: "error"});
        const status = answer.status, text = await answer.text();
        const isFine = typeof status === "number" && typeof text === "string" && text.length <= limit;
        return isFine ? [path, status, text] : [path, 0, ""];
    } catch {
        return [path, 0, ""];
    }
}))
"""
"""What the page is to run: a function of the endpoints and the longest answer; gives `Answer`s as lists."""


@attrs.frozen
class Answer:
    """What an endpoint answered: an HTTP status, 0 if there was no answer, and its body."""

    endpoint: str
    status: int
    body: str


def judge_answers(answers: Sequence[Answer]) -> Finding:
    """Return what the endpoints tell of the viewer, and the handle where they do. Never raises."""
    evidence: list[Evidence] = []
    handle: str | None = None
    for answer in answers:
        for user in _users_in(answer):
            viewer = read_viewer(user)
            is_there = viewer is not None
            evidence.append(
                viewer_evidence(answer.endpoint, is_there=is_there, reason=LoginReason.VIEWER_API)
            )
            handle = handle or viewer
    return Finding(method=Method.API, evidence=tuple(evidence), viewer=handle or None)


def _users_in(answer: Answer) -> Iterator[bytes]:
    """Yield the viewer in an answer, in the shape of a viewer object; nothing if it does not tell."""
    if answer.status != _OK:
        return
    body = answer.body.encode(errors="replace")
    if answer.endpoint == APP_CONTEXT and (user := member(body, "user")):
        yield user
    elif answer.endpoint == ACCOUNT_INFO and (data := member(body, "data")):
        uid, name = member(data, "user_id") or b"0", member(data, "username") or b'""'
        yield b'{"uid":' + uid + b',"uniqueId":' + name + b"}"
