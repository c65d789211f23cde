"""Pages made to be expensive: each repeats something that some part of the reader is slow at."""

from collections.abc import Iterator

_UNIVERSAL = "<script id=__UNIVERSAL_DATA_FOR_REHYDRATION__>"
_SIGI = "<script id=SIGI_STATE>"
_ROUTER = "<script id=__MODERN_ROUTER_DATA__>"
_STUDIO = "<script id=__Creator_Center_Context__>"
_LITERAL = '<script>window["SIGI_STATE"]='
_REPEATED = (
    *("<a>", "<a></a>", "<br>", "<p>x", "<p><b><i>", "<li>x", "<h1><p>", "<table><tr><td>", "<b>x</b>y"),
    *(
        "<svg><path d=M0 /></svg>",
        "<form>",
        "<select><option>",
        "<template><b class=x></template>",
        "<noscript>",
    ),
    *("</a>", "<", "< ", "&", "&amp;", "&#x41;", "&CounterClockwiseContourIntegral;", "&CounterClockwise"),
    *(
        "<!---->",
        "<!x>",
        "<?x>",
        "<!DOCTYPE html>",
        "\0",
        "\r",
        "\n",
        "\x01",
        "\ufffe",
        "\ud800",
        "\U0001f600",
    ),
    *("<html a=b>", "<body c=d>", "<b id=x class=y>", "<b data-e2e=profile-icon>", "<script></script>"),
    *("<b hidden>", "<b style=color:red>x</b>", "<p style='opacity: 0.5'>", "<b aria-hidden=true>x</b>"),
    *(
        "<div role=dialog>x",
        "<dialog open>x</dialog>",
        "<dialog>",
        "<h1>x</h1>",
        "<a href=x>x</a>",
        "<NoScript>",
    ),
    *("<b id=age-gate>", "<b class=captcha-x>", "<link rel=canonical href=https://a.example/>", "<![CDATA[<"),
    *("sign user log create join ", "log in sign\n", "a\n", "/", "'", "x"),
    '<meta name=pumbaa-ctx content="login=1,login=0,">',
    '<b class="' + "a " * 200 + '">',
    "<meta property=og:url content=https://www.tiktok.com/>",
    "<script src=//a.ttwstatic.com/" + "a" * 900 + "></script>",
    "<b style='" + "none " * 200 + "'>",
    "<b id='" + "Aa_" * 90 + "'>",
    '<a b="&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;">',
    "<a " + " ".join(f"b{number}=c" for number in range(50)) + ">",
    "<a " + " ".join(f"b{number}=c" for number in range(2_000)) + ">",
    '<a href="' + "x" * 200_000 + '">',
    "<div>" * 100 + "</div>" * 100,
    "<div>" * 500 + "</div>" * 500,
    "<script>" + " SIGI_STATE" * 18 + "</script>",
    "<script>SIGI_STATE" + " " * 180 + "</script>",
    _SIGI + '{"AppContext":{"appContext":{"user":{"uid":1}}}}</script>',
    _SIGI + "{" + "a:1," * 500 + "}</script>",
    _STUDIO + "{&</script>",
    _STUDIO + "{" + "&quot;a&quot;:1," * 3_000 + "}</script>",
    _LITERAL + "{AppContext:{a:[" + "1," * 2_000 + "]}}</script>",
)
_UNENDING = (
    *(("<!--", "x"), ("<!--", "-"), ('<a b="', "x"), ('<a b="', "&amp;"), ('<a b="', "&Co"), ("<", "x")),
    *(("<a ", "b "), ("<a ", "b=c "), ("<a ", "/"), ('<a class="', "a "), ("<![CDATA[", "<a>")),
    *(("<title>", "x"), ("<plaintext>", "<a>"), ("<textarea>", "<a>"), ("<!DOCTYPE ", "x ")),
    *(("<script>", "<"), ("<script>", "<!--<script>"), ("<script>", "</scrip"), ("<div>" * 500, "</a>")),
    *(("<div>" * 500, "<b></b></a></a></a>"), ("<div>" * 500, "<td>"), ("<template>", "<a>")),
    ('<meta name=pumbaa-ctx content="', ","),
)
_JSON = (
    *(
        "[",
        '{"a":',
        '"a":1,',
        '"AppContext":{},',
        '"\\u0041":1,',
        '"a":[],',
        '"a":"\\n",',
        " ",
        "&quot;a&quot;:1,",
    ),
    *("&amp;quot;", "&lt;&gt;", "&#34;a&#34;:&#34;b&#34;,"),
)
_JAVASCRIPT = (
    *("a:1,", "a:'b',", "a:undefined,", "{a:", "[", "a:[!0],", "a:1e3,", "a:0x1,", "'", "''", '"\'"', "`"),
    *("//", "/*a*/", "\\x41", "\\\\", "function(){", "new ", "(", "-", "a:'AppContext:{',", "'AppContext:{"),
    "AppContext" + " " * 50,
    *(
        "AppContext:{},",
        "b:{AppContext:{}},",
        "AppContext,",
        "'AppContext' :",
        "A:1,",
        "/",
        "//\n",
        "(",
        "`${",
    ),
)


def hostile_pages(size: int) -> Iterator[tuple[str, str]]:
    """Yield pages of about `size` characters, each with a name that shows what it repeats."""
    for unit in _REPEATED:
        yield _name(unit), _repeat(unit, size)
    for start, unit in _UNENDING:
        yield _name(start + unit), start + _repeat(unit, size)
    numbers = range(size // 10)
    yield "unique attributes", "<a " + " ".join(f"b{number}=c" for number in numbers) + ">"
    yield "unique names", "<a " + " ".join(f"b{number}" for number in numbers) + ">"
    for start in (_SIGI, _UNIVERSAL, _STUDIO):
        members = ",".join(f'"k{number}":1' for number in numbers)
        yield _name(f"{start} unique keys"), f"{start}{{{members}}}</script>"
        for unit in _JSON:
            yield _name(start + unit), start + "{" + _repeat(unit, size) + '"a":1}</script>'
    flags = _ROUTER + '{"loaderData":{' + _repeat('"is_login":false,', size) + '"a":1}}</script>'
    yield "is_login", flags
    nested = _repeat('{"is_login":{"a":', size // 4)
    yield "is_login nested", _ROUTER + '{"loaderData":' + nested + "</script>"
    for unit in ("<script id=SIGI_STATE>{}</script>", "<script id=a", "<!-- saved from url=("):
        yield _name(unit), "".join(f"{unit}{number}>" for number in numbers)[:size]
    for unit in _JAVASCRIPT:
        yield _name(_LITERAL + unit), _LITERAL + "{" + _repeat(unit, size) + "};</script>"
        context = _LITERAL + "{AppContext:{" + _repeat(unit, size) + "}};</script>"
        yield _name(f"{_LITERAL} context {unit}"), context


def _repeat(unit: str, size: int) -> str:
    return unit * max(1, size // len(unit))


def _name(text: str) -> str:
    short = text if len(text) <= 60 else f"{text[:30]} ... {text[-24:]}"
    return ascii(short)[1:-1]
