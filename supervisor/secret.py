"""Strings that never print themselves."""

import hmac
import pickle
from typing import Final, NoReturn

HIDDEN: Final = "(hidden)"


class Secret:
    """A text that only `reveal` returns. A repr, a message or a traceback shows only that there is one.

    You can compare it with a text. Pickling it, or writing it as JSON, fails.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, _spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Secret):
            other = other._text
        if not isinstance(other, str):
            return NotImplemented
        return hmac.compare_digest(self._bytes(self._text), self._bytes(other))

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise pickle.PicklingError("a secret can't be pickled: hand on what is revealed, on purpose")

    @staticmethod
    def _bytes(text: str) -> bytes:
        return text.encode(errors="surrogatepass")
