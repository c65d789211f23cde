"""What a stranger says does not control the terminal that shows it."""

from greenroom.web.terminal import MAX_CHARS, lines, one_line


def test_one_line_is_one_line_without_controls() -> None:
    """However long the text is."""
    assert one_line("a\x1b[31m\nb\u202e\x9b\ud800") == "a [31m b   "
    assert one_line("x" * 10_000) == "x" * MAX_CHARS


def test_lines_keep_their_breaks() -> None:
    """A page's tree is shown as it is, but for what would control the terminal."""
    assert lines("- text: a\x1b[31m page\r\n  - b\n") == "- text: a [31m page \n  - b\n"
