"""Asks TikTok's own endpoints about the viewer, from inside the page and with the page's cookies.

Only known fields are judged: `data.user_id` and `data.username` of account/info, and `user` of the app's
context.
"""

from collections.abc import Iterator, Sequence

import attrs

from greenroom.actors.verdict.data import member
from greenroom.actors.verdict.hydration import read_viewer, viewer_evidence
from greenroom.actors.verdict.verdict import Evidence, Finding, LoginReason, Method

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
"""JavaScript to run in the page: a function of the endpoints and the maximum length of an answer.

It returns the fields of `Answer`s as lists. A redirect is an error: another address would answer.
"""


@attrs.frozen
class Answer:
    """An endpoint's answer: the HTTP status, 0 if there was no answer, and the body."""

    endpoint: str
    status: int
    body: str


def judge_answers(answers: Sequence[Answer]) -> Finding:
    """Return what the endpoints say about the viewer, with the handle if they name it. Never raises."""
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
    """Yield the viewer in an answer, in the shape of a viewer object, or nothing if the answer has none."""
    if answer.status != _OK:
        return
    body = answer.body.encode(errors="replace")
    if answer.endpoint == APP_CONTEXT and (user := member(body, "user")):
        yield user
    elif answer.endpoint == ACCOUNT_INFO and (data := member(body, "data")):
        uid, name = member(data, "user_id") or b"0", member(data, "username") or b'""'
        yield b'{"uid":' + uid + b',"uniqueId":' + name + b"}"
