"""A picture of a page, as a session shows it to those who watch."""

import attrs


@attrs.frozen(kw_only=True)
class Frame:
    """What one page showed at one moment: a JPEG, and the size of its viewport in CSS pixels."""

    page: str
    width: int
    height: int
    jpeg: bytes = attrs.field(repr=False)
