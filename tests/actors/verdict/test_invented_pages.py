"""Invented pages of the kinds that outsiders found misjudged, each with its correct verdict."""

import attrs
import pytest

from greenroom.actors.verdict import Gate, LoginReason, LoginState, analyse_html, decide
from greenroom.actors.verdict.arrival import Arrival
from tests.actors.verdict.builders import (
    HERE,
    LOGGED_IN,
    LOGGED_OUT,
    NOBODY,
    SOMEBODY,
    UNCERTAIN,
    UNIVERSAL,
    VIEWER,
    code,
    e2e,
    judge,
    judge_file,
    pumbaa,
    script,
)

IN = script(UNIVERSAL, SOMEBODY)
SIGI = '{"AppContext":{"appContext":{%s"user":%s}}}'
NEXT = '{"props":{"initialProps":{%s"$user":%s}}}'
LITERAL = "{AppContext:{appContext:{user:{uid:'6812'}}}}"
RUNS = "<script>run()</script>"
FEED = "<article>a post</article>"
BLOCKED, LIMITED = LoginReason.BLOCKED, LoginReason.RATE_LIMITED
REGION, NOT_TIKTOK = LoginReason.REGION_BLOCKED, LoginReason.NOT_TIKTOK
CHALLENGE = LoginReason.CHALLENGE
CLOUDFLARE = "<title>Just a moment...</title><p>Checking your browser</p><script src=/cdn-cgi/x.js></script>"


def answered(status: int) -> Arrival:
    return attrs.evolve(HERE, status=status)


@pytest.mark.parametrize("page", ["", "<h1>No</h1>", f"<h1>No</h1>{RUNS}", RUNS, CLOUDFLARE, "x" * 30_000])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *((400, BLOCKED), (401, BLOCKED), (403, BLOCKED), (404, BLOCKED), (410, BLOCKED), (418, BLOCKED)),
        *((429, LIMITED), (451, REGION)),
    ],
)
def test_status_counts_whatever_the_page_is(page: str, status: int, reason: LoginReason) -> None:
    """A short page with a script is not a captcha if the HTTP status explains it."""
    assert judge(page, answered(status)) == (UNCERTAIN, reason)


@pytest.mark.parametrize("status", [200, 203, 206, 304, None])
def test_status_that_refuses_nothing_says_nothing(status: int | None) -> None:
    """For other statuses, the page itself decides."""
    assert judge(IN, attrs.evolve(HERE, status=status))[0] is LOGGED_IN


def test_status_of_a_page_that_names_its_viewer_is_the_apps_own() -> None:
    """TikTok's app answers for a missing video in full; the refusal counts only if nobody is named."""
    assert judge(IN, answered(404)) == (LOGGED_IN, LoginReason.VIEWER_OBJECT)
    assert judge(script(UNIVERSAL, NOBODY), answered(403)) == (UNCERTAIN, BLOCKED)
    assert judge(e2e("profile-icon"), answered(403)) == (UNCERTAIN, BLOCKED)
    foreign = Arrival(status=403)
    assert judge(script("SIGI_STATE", SIGI % ("", VIEWER)), foreign)[0] is UNCERTAIN


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (
            "<title>Guest WiFi</title><form><input name=room><button>Connect</button></form>" + RUNS,
            NOT_TIKTOK,
        ),
        ("<h1>We'll be back soon</h1><p>Down for maintenance</p>" + RUNS, NOT_TIKTOK),
        (CLOUDFLARE, NOT_TIKTOK),
        ("<h1>It works!</h1>", NOT_TIKTOK),
        ("<title>TikTok</title><h1>TikTok is not available in your region</h1>" + RUNS, REGION),
        ("<p>Sorry, TikTok isn't available right now</p>" + RUNS, REGION),
        ("<p>TikTok isn\u2019t available</p>", REGION),
        ("<h1>This service is unavailable in your country</h1>" + RUNS, REGION),
        ("<p>We have discontinued operating TikTok in Hong Kong</p>", REGION),
        ("<title>Access Denied</title><h1>Access Denied</h1>" + RUNS, BLOCKED),
        ("<title>Please wait...</title><p>Please wait</p>" + RUNS, CHALLENGE),
        (RUNS, CHALLENGE),
        ("<title></title><body><i></i>" + RUNS, CHALLENGE),
    ],
)
def test_small_page_is_told_by_what_is_on_it(page: str, reason: LoginReason) -> None:
    """The words of a small page decide if the HTTP status is unknown or 200."""
    for arrival in (HERE, Arrival(), answered(200)):
        assert judge(page, arrival) == (UNCERTAIN, reason)


@pytest.mark.parametrize("path", ["/hk/notfound", "/in/notfound/"])
def test_regions_path_is_a_block(path: str) -> None:
    """TikTok redirects regions that it does not serve there, to a page of its own."""
    assert judge(IN, attrs.evolve(HERE, path=path)) == (UNCERTAIN, REGION)
    canonical = f'<link rel=canonical href="https://www.tiktok.com{path}">'
    assert judge_file(canonical + "<title>TikTok</title>") == (UNCERTAIN, REGION)
    assert judge(IN, attrs.evolve(HERE, path="/@hk/notfound"))[0] is LOGGED_IN


FOREIGN = [
    e2e("profile-icon"),
    "<title>How to use TikTok</title>" + e2e("profile-icon", "inbox-icon"),
    "<title>Blog</title>" + script("__NEXT_DATA__", NEXT % ("", VIEWER)),
    "<title>Shop</title>" + script("SIGI_STATE", SIGI % ("", VIEWER)),
    code(f"SIGI_STATE={LITERAL}"),
    '<script async src="https://www.tiktok.com/embed.js"></script>' + e2e("profile-icon"),
    '<script src="https://analytics.tiktok.com/i18n/pixel/events.js"></script>' + e2e("nav-messages"),
    '<link rel=stylesheet href="https://lf16.ttwstatic.com/obj/falcon/embed/embed_lib.css">'
    + e2e("profile-icon"),
    '<meta property="og:site_name" content="TikTok tips">' + e2e("profile-icon"),
    '<a href="https://www.tiktok.com/">TikTok</a>' + e2e("inbox-icon"),
    '<meta property="og:url" content="https://tiktok.com.example/">' + e2e("inbox-icon"),
    '<img src="https://p16.tiktokcdn.com/a.jpeg">' + script("__NEXT_DATA__", NEXT % ("", VIEWER)),
    script("__NEXT_DATA__", NEXT % ('"appId":17,"host":"shop.example","wid":"7",', VIEWER)),
    script("SIGI_STATE", SIGI % ('"$host":"www.tiktok.com.example",', VIEWER)),
]


@pytest.mark.parametrize("page", FOREIGN)
def test_file_of_another_site_is_never_logged_in(page: str) -> None:
    """Others can copy TikTok's pages; only at TikTok's own address do they count."""
    assert judge_file(page) == (UNCERTAIN, NOT_TIKTOK)
    assert judge(page)[0] is LOGGED_IN
    assert judge(page, Arrival(is_elsewhere=True)) == (UNCERTAIN, NOT_TIKTOK)


@pytest.mark.parametrize(
    "address",
    [
        '<link rel="canonical" href="https://blog.example/tiktok">',
        "<!-- saved from url=(0024)https://www.tiktok.example/ -->",
        "<!--\n Page saved with SingleFile \n url: https://blog.example/ \n saved date: today\n-->",
    ],
)
def test_page_that_says_where_it_is_from_is_from_there(address: str) -> None:
    """A file is from the site it names, whatever else it holds; in a browser, the address counts more."""
    assert judge_file(f"{address}{IN}{pumbaa('1')}") == (UNCERTAIN, NOT_TIKTOK)
    assert judge(f"{address}{IN}")[0] is LOGGED_IN


@pytest.mark.parametrize(
    "proof",
    [
        '<link rel="canonical" href="https://www.tiktok.com/foryou">',
        "<!-- saved from url=(0023)https://www.tiktok.com/ -->",
        "<!doctype html><!--\n Page saved with SingleFile \n url: https://m.tiktok.com/ \n-->",
        '<meta property="og:site_name" content="TikTok">',
        '<meta name="application-name" content="TikTok">',
        '<meta property="og:url" content="https://www.tiktok.com/@a">',
        '<script src="https://lf16-tiktok-web.ttwstatic.com/obj/tiktok-web/tiktok/webapp/main.js"></script>',
        '<link rel="preload" href="https://sf16-website-login.neutral.tiktokcdn-us.com/obj/a.js">',
        pumbaa("1"),
        script(UNIVERSAL, '{"__DEFAULT_SCOPE__":{"webapp.biz-context":{}}}'),
        script("SIGI_STATE", SIGI % ('"appId":1988,', "null")),
        script("SIGI_STATE", SIGI % ('"$host":"www.tiktok.com",', "{}")),
        script("__NEXT_DATA__", NEXT % ('"$wid":"7","$csrfToken":"x",', "{}")),
    ],
)
def test_structure_proves_a_file_to_be_tiktoks(proof: str) -> None:
    """With a viewer's controls on the page, each of these proves it by itself."""
    assert judge_file(proof + e2e("profile-icon"))[0] is LOGGED_IN
    assert judge_file(e2e("profile-icon") + proof)[0] is LOGGED_IN


@pytest.mark.parametrize(
    "text",
    [
        "SIGI_STATE={/* AppContext:{appContext:{user:{uid:'1'}}} */a:1};",
        "SIGI_STATE={a:1,// AppContext:{appContext:{user:{uid:'1'}}},\nb:2};",
        "SIGI_STATE={a:{AppContext:{appContext:{user:{uid:'1'}}}}};",
        "SIGI_STATE={a:1};x={AppContext:{appContext:{user:{uid:'1'}}}};",
        "SIGI_STATE={a:[1,{AppContext:{appContext:{user:{uid:'1'}}}}]};",
        "SIGI_STATE={a:/'/,b:'AppContext:{appContext:{user:{uid:1}}}'};",
        "SIGI_STATE={a:/[/*]/,AppContext:{appContext:{user:{uid:1}}}};",
        "SIGI_STATE={a:`${`,AppContext:{appContext:{user:{uid:1}}},`}`};",
        "SIGI_STATE={a:1,<!-- AppContext:{appContext:{user:{uid:'1'}}},\nb:2};",
        "SIGI_STATE={a:(()=>{return {AppContext:{appContext:{user:{uid:1}}}}})()};",
        "SIGI_STATE={OtherAppContext:{appContext:{user:{uid:1}}}};",
        f"/* window.SIGI_STATE={LITERAL} */",
        f"// window.SIGI_STATE={LITERAL}\n",
        f"window.MY_SIGI_STATE={LITERAL}",
        f"window.SIGI_STATE.next={LITERAL}",
        f"if(0)window.SIGI_STATE={LITERAL}",
        f"a='window.SIGI_STATE={LITERAL}'".replace("'6812'", "6812"),
    ],
)
def test_context_that_code_would_not_find_is_none(text: str) -> None:
    """The context counts only at its depth in the assigned object, outside comments and strings."""
    assert judge(code(text))[0] is UNCERTAIN


@pytest.mark.parametrize(
    "text",
    [
        f"/* the state */ window.SIGI_STATE={LITERAL};",
        f"// the state\n'use strict';window['SIGI_STATE']={LITERAL};",
        f"SIGI_STATE={{/* }} */a:{{b:[{{c:'}}'}}]}},/* ' */ {LITERAL[1:]};",
        f"SIGI_STATE={{a:1,// it's\n{LITERAL[1:]};",
        f"SIGI_STATE={{AppContext:{{appContext:{{user:{{}}}}}},{LITERAL[1:]};",
    ],
)
def test_context_that_code_would_find_is_one(text: str) -> None:
    """Comments and other members before the context do no harm; of two, the last one counts."""
    assert judge(code(text))[0] is LOGGED_IN


@pytest.mark.parametrize(
    "text",
    [
        f"window.SIGI_STATE={LITERAL};window.SIGI_STATE={{}};",
        f"window.SIGI_STATE={LITERAL};SIGI_STATE.AppContext={{}};",
        f"window.SIGI_STATE={LITERAL};window['SIGI_STATE']['AppContext'] = null",
        f"window.SIGI_STATE={LITERAL};delete window.SIGI_STATE",
        f"window.SIGI_STATE={SIGI % ('', VIEWER)};SIGI_STATE.AppContext={{}};",
        f"window.SIGI_STATE={SIGI % ('', VIEWER)},window.SIGI_STATE={{}};",
        f"window.SIGI_STATE={SIGI % ('', VIEWER)}&&{{}};",
        f"window.SIGI_STATE={SIGI % ('', VIEWER)}['x'];",
        f"window.SIGI_STATE={LITERAL}\n&&{{}};",
        f"window.SIGI_STATE={LITERAL}.x;",
        "window.SIGI_STATE={AppContext:{appContext:{user:{uid:'1'}}},...other};",
        "window.SIGI_STATE={AppContext:{appContext:{user:{uid:'1'}}},a:/x/,AppContext:{}};",
        "window.SIGI_STATE={AppContext:{appContext:{user:{uid:'1'}}},a:[",
        "window.SIGI_STATE={AppContext:{appContext:{user:{uid:whoever1}}}};",
        "window.SIGI_STATE={AppContext:{appContext:{user:{uid:a.id}}}};",
        f"other.SIGI_STATE={LITERAL};",
        f"a.b[SIGI_STATE]={LITERAL};",
    ],
)
def test_assignment_that_is_not_all_there_is_to_it_proves_nothing(text: str) -> None:
    """Data that is deleted, changed, truncated, part of something else or computed doesn't count."""
    assert judge(code(text))[0] is UNCERTAIN


@pytest.mark.parametrize(
    "text",
    [
        f"window['SIGI_STATE']={SIGI % ('', VIEWER)};window['SIGI_RETRY']={{a:1}};",
        f"window['SIGI_STATE']={LITERAL};window['SIGI_RETRY']={{a:1}}",
        f"var SIGI_STATE={LITERAL}\nvar other=SIGI_STATE.a",
        f"self.SIGI_STATE={LITERAL};if(SIGI_STATE.a==1)run()",
        "SIGI_STATE={a:!0,b:.5,c:'SIGI_STATE={}',AppContext:{appContext:{user:{uid:'1',x:void 0,y:!1}}}};",
    ],
)
def test_code_after_an_assignment_may_be_anything_else(text: str) -> None:
    """If other names are assigned afterwards, this one is still read."""
    assert judge(code(text))[0] is LOGGED_IN


def scripts(*texts: str, name: str = UNIVERSAL) -> str:
    return "".join(script(name, text) for text in texts)


@pytest.mark.parametrize(
    ("page", "state"),
    [
        (scripts(NOBODY, SOMEBODY), LOGGED_OUT),
        (scripts(SOMEBODY, NOBODY), LOGGED_IN),
        (scripts("{}", SOMEBODY), UNCERTAIN),
        (scripts("broken", SOMEBODY), UNCERTAIN),
        (scripts(SIGI % ("", "null"), SIGI % ("", VIEWER), name="SIGI_STATE"), LOGGED_OUT),
        (scripts(NEXT % ("", "{}"), NEXT % ("", VIEWER), name="__NEXT_DATA__"), LOGGED_OUT),
        (f"<div id={UNIVERSAL}></div>{IN}", UNCERTAIN),
        (f"<template>{scripts(NOBODY)}</template>{IN}", LOGGED_IN),
        (f"<!-- {scripts(NOBODY)} -->{IN}", LOGGED_IN),
        (code(f"SIGI_STATE={LITERAL}") + code(f"SIGI_STATE={SIGI % ('', '{}')}"), LOGGED_OUT),
        (code(f"SIGI_STATE={SIGI % ('', '{}')}") + code(f"SIGI_STATE={LITERAL}"), LOGGED_IN),
        (f"<script type=text/plain>SIGI_STATE={LITERAL}</script>", UNCERTAIN),
        (f"<script type='text/x-template'>SIGI_STATE={LITERAL}</script>", UNCERTAIN),
        (f"<script src=a.js>SIGI_STATE={LITERAL}</script>", UNCERTAIN),
        (f"<script nomodule>SIGI_STATE={LITERAL}</script>", UNCERTAIN),
        (f"<script id=sigi-persisted-data type=text/plain>SIGI_STATE={LITERAL}</script>", UNCERTAIN),
    ],
)
def test_script_is_found_as_the_pages_own_code_finds_it(page: str, state: LoginState) -> None:
    """The first element with an id, code that runs, and the last of several assignments count."""
    assert judge(page)[0] is state


@pytest.mark.parametrize(
    "around",
    [
        *("<!-- %s -->", "<![CDATA[ %s ]]>", "<textarea>%s</textarea>", "<title>%s</title>"),
        *("<noscript>%s</noscript>", "<NoScript>%s</NoScript>", "<template>%s</template>", "<xmp>%s</xmp>"),
        *(
            "<iframe>%s</iframe>",
            "<iframe srcdoc='%s'></iframe>",
            "<style>%s</style>",
            "<noembed>%s</noembed>",
        ),
        *("<noframes>%s</noframes>", "<plaintext>%s", "<a title='%s'>x</a>", "<svg><![CDATA[%s]]></svg>"),
        *("<script><!--<script></script>%s--></script>", "<template><template></template>%s</template>"),
    ],
)
def test_data_that_is_no_part_of_the_document_says_nothing(around: str) -> None:
    """Text that looks like an element counts no more than elements inside inert ones."""
    assert judge(around % (IN + e2e("profile-icon")))[0] is UNCERTAIN


@pytest.mark.parametrize(
    "user",
    [
        '{"userId":"6812"}',
        '{"uniqueId":"quiet.heron"}',
        '{"uid":6.812e18}',
        '{"uid":-1}',
        '{"uid":"-1"}',
        '{"uid":{"low":1,"high":2}}',
        '{"uid":["6812"]}',
        '{"uid":"6 812"}',
        *('{"uid":"00"}', '{"uid":"0.0"}', '{"uid":"None"}', '{"uid":"NULL"}', '{"uid":"Guest"}'),
        '{"accountId":"6812"}',
        '{"uid":"","secUid":"MS4w"}',
        '"quiet.heron"',
        "6812",
        '[{"uid":"6812"}]',
    ],
)
def test_somebody_in_an_unknown_form_is_no_absence(user: str) -> None:
    """A viewer who can't be identified is not an empty place."""
    for name, data in ((UNIVERSAL, SOMEBODY.replace(VIEWER, "%s")), ("SIGI_STATE", SIGI % ("", "%s"))):
        assert judge(script(name, data % user)) == (UNCERTAIN, LoginReason.CONFLICT)


@pytest.mark.parametrize(
    "members",
    [
        '"viewer":{"uid":"6812"}',
        '"user":null,"currentUser":{"uniqueId":"quiet.heron"}',
        '"user":{},"auth":{"account":{"userId":6812}}',
        '"uid":"6812"',
        '"secUid":"MS4w"',
        '"user":{"uid":""},"login":{"sec_uid":"MS4w"}',
    ],
)
def test_viewer_under_another_key_is_no_absence(members: str) -> None:
    """The known key is empty, but another one names somebody."""
    context = f'{{"__DEFAULT_SCOPE__":{{"webapp.app-context":{{"language":"en",{members}}}}}}}'
    assert judge(script(UNIVERSAL, context)) == (UNCERTAIN, LoginReason.CONFLICT)


@pytest.mark.parametrize(
    "members",
    [
        '"wid":"7438525352601536046","appId":1233,"botType":"others","abTestVersion":{"parameters":{"a":{}}}',
        '"user":{},"text":"\\"uid\\":\\"1\\"","playerInfo":{"name":"","type":0}',
        '"user":{"uid":"","uniqueId":"","nickName":"","isPrivate":false,"followers":0,"roles":[]}',
        '"user":null,"currentUser":{"uid":"0","uniqueId":""}',
    ],
)
def test_absence_in_a_known_form_counts(members: str) -> None:
    """The context that TikTok gives to nobody has ids too, but none of a person."""
    context = f'{{"__DEFAULT_SCOPE__":{{"webapp.app-context":{{{members}}}}}}}'
    assert judge(script(UNIVERSAL, context)) == (LOGGED_OUT, LoginReason.VIEWER_OBJECT)


def test_anonymous_shell_with_icons_contradicts_itself() -> None:
    """`login=0` contradicts the controls that only a viewer gets."""
    assert judge(pumbaa("0") + e2e("profile-icon", "inbox-icon")) == (UNCERTAIN, LoginReason.CONFLICT)
    assert judge(pumbaa("0") + e2e("top-login-button")) == (LOGGED_OUT, LoginReason.LOGIN_FLAG)


ROUTER = "__MODERN_ROUTER_DATA__"
SHOP = '<title>TikTok Shop</title><script src="//lf.example/obj/oec-ttweb-captcha/a.js"></script>'


@pytest.mark.parametrize(
    ("data", "state", "reason"),
    [
        ('{"loaderData":{"view/page":{"is_login":false}}}', LOGGED_OUT, LoginReason.LOGIN_FLAG),
        ('{"loaderData":{"(a$)/page":{"page_config":{"user":{"is_login":false}}}}}', LOGGED_OUT, None),
        ('{"loaderData":{"page":{"is_login":true}}}', UNCERTAIN, LoginReason.NOTHING_FOUND),
        ('{"loaderData":{"a":{"is_login":true},"b":{"is_login":false}}}', UNCERTAIN, LoginReason.CONFLICT),
        ('{"loaderData":{"page":{"text":"is_login:false"}}}', UNCERTAIN, LoginReason.NOTHING_FOUND),
        ('{"other":{"page":{"is_login":false}}}', UNCERTAIN, LoginReason.NOTHING_FOUND),
        ('{"loaderData":{"page":{"is_login":0}}}', UNCERTAIN, LoginReason.NOTHING_FOUND),
        ("{", UNCERTAIN, LoginReason.UNREADABLE),
    ],
)
def test_shops_page_says_whether_there_is_a_viewer(
    data: str, state: LoginState, reason: LoginReason | None
) -> None:
    """The flag is read by depth and proves no login alone. The captcha's script alone is not a captcha."""
    found = judge(SHOP + script(ROUTER, data))
    assert found == (state, reason or found[1])


def dialog(headline: str, attributes: str = 'role="dialog"') -> str:
    return f"<div {attributes}><h2>{headline}</h2><p>Words</p></div>"


GATES = [
    (Gate.ACCOUNT_SUSPENDED, dialog("Your account was suspended")),
    (Gate.ACCOUNT_SUSPENDED, dialog("Your account has been permanently banned", "aria-modal=true")),
    (Gate.ACCOUNT_SUSPENDED, '<main data-e2e="account-suspended">x</main>'),
    (Gate.ACCOUNT_SUSPENDED, "<h1>Account suspended</h1>"),
    (Gate.AGE, dialog("Confirm your age")),
    (Gate.AGE, dialog("What's your date of birth?")),
    (Gate.AGE, "<section id=ageGate>x</section>"),
    (Gate.CONSENT, dialog("We updated our Terms of Service")),
    (Gate.CONSENT, "<dialog open>Review our new privacy policy</dialog>"),
    (Gate.CONSENT, '<div data-e2e="terms-modal">x</div>'),
    (Gate.IDENTITY, dialog("Verify it's you", "role=alertdialog")),
    (Gate.IDENTITY, "<h1>Verify that it\u2019s really you</h1>"),
    (Gate.IDENTITY, '<div id="identity_verification">x</div>'),
    (Gate.TWO_STEP, dialog("2-step verification")),
    (Gate.TWO_STEP, dialog("Enter 6-digit code")),
    (Gate.TWO_STEP, "<form id=two-step-verification></form>"),
    (Gate.ERROR, "<h2>Something went wrong</h2>"),
    (Gate.ERROR, dialog("Sorry, something went wrong. Please try again.")),
]


@pytest.mark.parametrize(("gate", "page"), GATES)
def test_gate_before_a_viewer_is_told(gate: Gate, page: str) -> None:
    """A gate doesn't hide a viewer, and doesn't make one on a page without."""
    decision = decide(analyse_html(IN + page, HERE).evidence)
    assert (decision.state, decision.gate) == (LOGGED_IN, gate)
    assert decision.reason is LoginReason.ACCOUNT_RESTRICTED
    assert judge(pumbaa("0") + page)[0] is LOGGED_OUT


@pytest.mark.parametrize(
    ("path", "gate"),
    [
        ("/account-suspended", Gate.ACCOUNT_SUSPENDED),
        ("/login/2sv", Gate.TWO_STEP),
        ("/age_gate", Gate.AGE),
        ("/security/verify-identity", Gate.IDENTITY),
    ],
)
def test_gate_has_a_path_of_its_own(path: str, gate: Gate) -> None:
    """A gate is recognized by its path, to which the browser was redirected."""
    assert decide(analyse_html(IN, attrs.evolve(HERE, path=path)).evidence).gate is gate
    assert decide(analyse_html(IN, attrs.evolve(HERE, path="/@verify.me/video")).evidence).gate is None


@pytest.mark.parametrize(
    "page",
    [
        "<p>Your account was suspended</p>",
        FEED + "<h1>Your account was suspended</h1>",
        FEED + "<h2>Something went wrong</h2>",
        dialog("Turn on notifications?"),
        dialog("Keyboard shortcuts"),
        dialog("Confirm your age", 'role="dialog" hidden'),
        dialog("Confirm your age", 'role="dialog" style="display: none"'),
        dialog("Confirm your age", 'role="dialog" aria-hidden="true"'),
        f"<div hidden>{dialog('Confirm your age')}</div>",
        f"<template>{dialog('Confirm your age')}</template>",
        "<dialog><h2>Confirm your age</h2></dialog>",
        "<h1>How my account was suspended</h1>",
        "<div id=onetrust-consent-sdk>cookies</div><tiktok-cookie-banner></tiktok-cookie-banner>",
        '<a id="terms-link">Terms</a><div data-e2e="user-title">a</div>',
        code("var texts = {title: 'Verify it\\'s you', id: 'age-gate'}"),
        script("i18n", '{"t":"Something went wrong"}'),
        "<!-- <div role=dialog>Verify it's you</div> -->",
        "<div data-e2e=video-desc title='age-gate'>Enter the code</div>",
        "<title>Account banned? What to do | TikTok</title>",
    ],
)
def test_words_of_a_gate_are_none(page: str) -> None:
    """Such words don't count in text, posts, scripts, hidden elements or other names."""
    decision = decide(analyse_html(IN + page, HERE).evidence)
    assert (decision.state, decision.gate) == (LOGGED_IN, None)


@pytest.mark.parametrize(
    ("page", "may_pass"),
    [
        (RUNS, True),
        ('<meta http-equiv="Refresh" content="1;url=/">', True),
        ("<h1>No</h1>", False),
        ("<div class=captcha-verify-container></div>" + RUNS, False),
        ("<title>Security Check</title>" + RUNS, True),
        ("<title>Security Check</title>", False),
    ],
)
def test_page_with_a_script_may_go_on_by_itself(page: str, may_pass: bool) -> None:
    """Only a page with a script is waited for; one without can't move on, and neither can a captcha."""
    for status in (200, 403):
        assert decide(analyse_html(page, answered(status)).evidence).may_pass is may_pass
