"""The pages that describe the HTTP side, made of what it is made of. `make docs` writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from greenroom.web.commands.openapi import openapi_text
from greenroom.web.http.error_guide import GUIDE
from greenroom.web.http.errors import CATALOGUE

DOCS: Final = Path(__file__).parents[2] / "docs"

_HEAD: Final = """\
# Errors

Every answer that is an error has this shape, whatever refuses the request: the daemon's routes, its limits,
or HTTP itself, for a WebSocket's handshake too. `make docs` writes this page; `GET /docs` says which codes
come where.

```json
{
  "status": "error",
  "message": "User data directory is locked",
  "error_details": {
    "code": "USER_DATA_LOCKED",
    "details": "User data directory is locked by another process",
    "retryable": true,
    "request_id": "4a2ab2a2e2be"
  }
}
```

- `code` is for programs. It has one status, and stays what it is. `message` and `details` are for people.
- `retryable` says whether the same request may well succeed later. `Retry-After` says when, if that is
  known. The outcome of a request with an `Idempotency-Key` stays for 15 minutes, unless it is a 503
  other than `OVER_BUDGET`: take a new key to try again.
- `request_id` is in the header `X-Request-Id` and in the log, too. It is the one that you sent in
  `X-Request-Id`, if that has up to 64 letters, digits and `._:-`; so it can be one of your own trace.
- Some codes come with more fields, which `/openapi.json` describes under `ErrorDetails`.

An answer to `HEAD` has no body, only the headers. A connection that is reset has no answer: the client sent
too much before its turn, read no answer for 10 seconds, or there were too many connections.

| status | code | retryable | cause | cure |
|---|---|---|---|---|
"""


def errors_page() -> str:
    """Return the text of docs/errors.md."""
    known = sorted(CATALOGUE.values(), key=lambda answer: (answer.status, answer.code))
    rows = (
        f"| {answer.status} | `{answer.code}` | {_retryable(answer.code)} "
        f"| {GUIDE[answer.code].cause} | {GUIDE[answer.code].cure} |\n"
        for answer in known
    )
    return _HEAD + "".join(rows)


def _retryable(code: str) -> str:
    if code == "NOT_LOGGED_IN":
        return "if `rate_limited`"
    return "yes" if CATALOGUE[code].is_retryable else "no"


PAGES: Final[Mapping[Path, Callable[[], str]]] = {
    DOCS / "errors.md": errors_page,
    DOCS / "openapi.json": openapi_text,
}
"""Each page, and how its text is made."""
