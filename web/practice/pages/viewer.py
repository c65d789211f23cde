"""The invented people of the practice site."""

import hashlib

import attrs


@attrs.frozen
class Viewer:
    """Who looks at a page: a handle, which can be any text, and the decimal `uid` of the account."""

    handle: str
    uid: str

    @classmethod
    def named(cls, handle: str) -> "Viewer":
        """Return the viewer of that handle. A handle always gets the same uid, which has 19 digits."""
        digest = hashlib.sha256(handle.encode(errors="replace")).digest()
        return cls(handle, str(7 * 10**18 + int.from_bytes(digest[:7]) % 10**18))

    @property
    def sec_uid(self) -> str:
        """The long form of the uid, as pages carry it."""
        return "MS4wPr" + hashlib.sha256(self.uid.encode()).hexdigest()


INVENTED_VIEWER = Viewer.named("quiet.heron")
VIEWED = Viewer.named("ridge.walker")
