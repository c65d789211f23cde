"""The parts of a page that can hold evidence."""

from collections import Counter

import attrs


@attrs.frozen(kw_only=True)
class Script:
    """A script in the page itself. `is_code` is false for data.

    `id` is set if the page's own code would find this script by it: of several elements with one id, that is
    the first.
    """

    id: str
    is_code: bool
    text: str


@attrs.define(eq=False)
class Reading:
    """The parts of a page that can hold evidence.

    `rules` counts the elements that match each of `dom`'s rules. `login_flags` are the contents of
    `pumbaa-ctx`, cut to a maximum length. `words` is the beginning of the visible text. `headlines` and
    `names` are those of visible elements that may be a gate's. `is_tiktok` means that something on the page
    is TikTok's, `is_proven` that this proves the page to be TikTok's, and `is_other` that the page names
    another site as its own. `is_whole` is false if the page exceeded the bounds, and the rest was not read.
    """

    text: str
    scripts: list[Script] = attrs.field(factory=list, init=False)
    login_flags: list[str] = attrs.field(factory=list, init=False)
    title: str = attrs.field(default="", init=False)
    words: str = attrs.field(default="", init=False)
    rules: Counter[str] = attrs.field(factory=Counter, init=False)
    headlines: list[str] = attrs.field(factory=list, init=False)
    names: list[str] = attrs.field(factory=list, init=False)
    path: str = attrs.field(default="", init=False)
    has_script: bool = attrs.field(default=False, init=False)
    may_pass: bool = attrs.field(default=False, init=False)
    asks: bool = attrs.field(default=False, init=False)
    has_posts: bool = attrs.field(default=False, init=False)
    loads_shop_captcha: bool = attrs.field(default=False, init=False)
    is_tiktok: bool = attrs.field(default=False, init=False)
    is_proven: bool = attrs.field(default=False, init=False)
    is_other: bool = attrs.field(default=False, init=False)
    is_whole: bool = attrs.field(default=True, init=False)
