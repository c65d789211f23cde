"""What passes between a client and a driver, message by message."""

import json
import re
import time
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.relay.filter import MAX_CALLS, Filter, ForeignBrowser, Step
from greenroom.actors.relay.messages import Malformed
from greenroom.actors.relay.shared import MAX_CALL_BYTES, MAX_OPEN_FILES, MAX_SCRIPTS, Shared
from greenroom.actors.relay.surrogates import without_lone_surrogates
from greenroom.actors.relay.table import HIDDEN_TYPES, METHODS
from greenroom.actors.testing_driver import BROWSER, CONTEXT, FRAME, PAGE, SHOWN

PASSED = {Step.FORWARD, Step.FORWARD_KEEPING_DIALOGS}


@attrs.define(eq=False)
class Wire:
    """A client and a driver with the filter between them. The driver has shown its objects."""

    filter: Filter
    refused: list[str]
    shown: list[dict[str, Any]] = attrs.field(factory=list)
    _id: int = 0

    def call(self, guid: str, method: str, **params: Any) -> tuple[Step, dict[str, Any]]:
        """Return what becomes of a client's call, which has a new id."""
        self._id += 1
        return self.send({"id": self._id, "guid": guid, "method": method, "params": params, "metadata": {}})

    def send(self, message: Any) -> tuple[Step, dict[str, Any]]:
        step, out = self.filter.from_client(json.dumps(message).encode())
        return step, json.loads(out) if out else {}

    def refuses(self, guid: str, method: str, **params: Any) -> str:
        """Return what a client is told about a call that does not pass."""
        step, answer = self.call(guid, method, **params)
        assert step is Step.ANSWER
        assert answer["id"] == self._id
        return str(answer["error"]["error"]["message"])

    def passes(self, guid: str, method: str, **params: Any) -> bool:
        return self.call(guid, method, **params)[0] in PASSED

    def hears(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a client gets of a driver's message."""
        out = self.filter.from_driver(compact(message))
        return json.loads(out) if out else None

    def create(self, type_: str, guid: str, parent: str = CONTEXT) -> None:
        params = {"type": type_, "initializer": {}, "guid": guid}
        assert self.hears({"guid": parent, "method": "__create__", "params": params}) is not None


def compact(message: Any) -> bytes:
    """Return a message as a driver writes it."""
    return json.dumps(message, separators=(",", ":")).encode()


def open_wire(*, shared: Shared | None = None, may_trace: bool = True, held: str = "") -> Wire:
    refused: list[str] = []
    filter_ = Filter(
        browser=BROWSER,
        may_open=lambda url: "daemon" not in url,
        may_trace=may_trace,
        why_held=lambda: held,
        waits=False,
        shared=shared or Shared(),
        on_refused=lambda type_, method: refused.append(f"{type_}.{method}"),
    )
    wire = Wire(filter_, refused)
    for parent, type_, guid, initializer in SHOWN:
        params = {"type": type_, "initializer": initializer, "guid": guid}
        heard = wire.hears({"guid": parent, "method": "__create__", "params": params})
        if heard is not None:
            wire.shown.append(heard["params"])
    return wire


def test_client_acts_only_while_programs_have_control() -> None:
    """While a person has control, it is told so; reading goes on."""
    wire = open_wire(held="CONTROL_HELD: Ada has control")
    for guid, method in (
        (FRAME, "click"),
        (FRAME, "goto"),
        (PAGE, "keyboardType"),
        (FRAME, "evaluateExpression"),
    ):
        assert "Ada has control" in wire.refuses(guid, method)
    for guid, method in ((FRAME, "title"), (FRAME, "content"), (PAGE, "screenshot"), (CONTEXT, "cookies")):
        assert wire.passes(guid, method)


def test_client_learns_of_its_page_and_of_no_way_around_the_browser() -> None:
    """There are no local utilities, and neither the proxy's password nor a path of the machine."""
    wire = open_wire()
    shown = {params["type"]: params for params in wire.shown}
    assert {"Browser", "BrowserContext", "Page", "Frame", "Playwright"} <= shown.keys()
    assert not HIDDEN_TYPES & shown.keys()
    assert shown["Playwright"]["initializer"] == {"preLaunchedBrowser": {"guid": BROWSER}}
    assert shown["BrowserContext"]["initializer"]["options"] == {"acceptDownloads": "accept"}
    assert shown["BrowserType"]["initializer"] == {"name": "firefox", "executablePath": ""}


def test_allowed_call_passes_as_it_came() -> None:
    """With whatever it has, and an id of either kind."""
    wire = open_wire()
    for id_ in (7, "c@7"):
        metadata = {"timeout": 500, "internal": True}
        call = {
            "id": id_,
            "guid": FRAME,
            "method": "click",
            "params": {"selector": "a"},
            "metadata": metadata,
        }
        assert wire.send(call) == (Step.FORWARD, call)
        reply = {"id": id_, "result": {"é": "\ud83e"}}
        assert wire.hears(reply) == reply
    assert wire.refused == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        *({"metadata": value} for value in (None, 7, [1], {"timeout": "x"}, {"title": "{" * 100_000})),
        {"metadata": {"location": {"file": "/etc/passwd"}, "stepId": "1"}},
    ],
)
def test_call_always_has_metadata_that_the_driver_can_take(metadata: dict[str, Any]) -> None:
    """A driver would end without it, and with it all sessions of its host. It reads titles slowly."""
    step, passed = open_wire().send({"id": 1, "guid": PAGE, "method": "reload", "params": {}, **metadata})
    assert (step, passed["metadata"]) == (Step.FORWARD, {})


def test_metadata_that_is_large_is_not_read() -> None:
    """A number that is read slowly, again and again, would hold up the daemon for minutes."""
    metadata = b"{" + b",".join([b'"timeout":1e308'] * 250_000) + b"}"
    call = b'{"id":1,"guid":"%s","method":"reload","params":{},"metadata":%s}'
    started = time.thread_time()
    step, out = open_wire().filter.from_client(call % (PAGE.encode(), metadata))
    assert time.thread_time() - started < 2
    assert (step, json.loads(out)["metadata"]) == (Step.FORWARD, {})


def test_unknown_fields_of_a_call_do_not_pass() -> None:
    """What the relay does not read, the driver does not get."""
    step, passed = open_wire().send({"id": 1, "guid": PAGE, "method": "reload", "params": {}, "more": 1})
    assert step is Step.FORWARD
    assert passed.keys() == {"id", "guid", "method", "params", "metadata"}


@pytest.mark.parametrize(
    ("guid", "method", "told"),
    [
        ("localUtils", "zip", "no such object"),
        ("localUtils", "connect", "no such object"),
        ("page@of another session", "reload", "no such object"),
        ("browser-type@fake", "launch", "BrowserType.launch is not available"),
        ("browser-type@fake", "launchPersistentContext", "is not available"),
        ("browser-type@fake", "connectOverCDP", "is not available"),
        (BROWSER, "startServer", "Browser.startServer is not available"),
        (BROWSER, "stopServer", "is not available"),
        (BROWSER, "newContext", "is not available"),
        (BROWSER, "newBrowserCDPSession", "is not available"),
        (CONTEXT, "newCDPSession", "is not available"),
        (CONTEXT, "pause", "is not available"),
        (CONTEXT, "enableRecorder", "is not available"),
        ("request-context@fake", "fetch", "is not available"),
        ("tracing@fake", "harStart", "is not available"),
        ("Playwright", "newRequest", "is not available"),
        (PAGE, "setDockTile", "is not available"),
        (PAGE, "expectScreenshot", "is not available"),
        (PAGE, "something of a later version", "is not available"),
        (PAGE, "constructor", "is not available"),
        ("", "stopPendingOperations", "is not available"),
    ],
)
def test_what_is_not_in_the_table_is_refused_and_counted(guid: str, method: str, told: str) -> None:
    """The client is told so, as Playwright tells errors."""
    wire = open_wire()
    assert told in wire.refuses(guid, method)
    assert len(wire.refused) == 1


def test_name_of_a_method_that_is_none_is_not_counted_by_name() -> None:
    """It goes to the log, and the client may have put anything into it."""
    wire = open_wire()
    wire.refuses(PAGE, "x\ny")
    wire.refuses(PAGE, "screenshoot")
    wire.refuses("nothing", "zip")
    assert wire.refused == ["Page.unknown", "Page.screenshoot", "unknown.zip"]


@given(st.sampled_from([shown[2] for shown in SHOWN]), st.text())
def test_no_other_method_passes(guid: str, method: str) -> None:
    """Whatever it is called."""
    type_ = next(shown[1] for shown in SHOWN if shown[2] == guid)
    step, message = open_wire().filter.from_client(
        json.dumps({"id": 1, "guid": guid, "method": method, "params": {}}).encode()
    )
    if step in PASSED:
        assert method in METHODS.get(type_, ()) or method == "__abort__"
    elif message:
        assert json.loads(message)["id"] == 1


@pytest.mark.parametrize(
    ("guid", "method", "name", "value"),
    [
        (FRAME, "setInputFiles", "localPaths", ["/etc/passwd"]),
        (FRAME, "setInputFiles", "localDirectory", "/etc"),
        (FRAME, "drop", "localPaths", ["/etc/passwd"]),
        ("element@1", "setInputFiles", "localPaths", ["/etc/passwd"]),
        (PAGE, "screencastStart", "record", True),
        (CONTEXT, "clearCookies", "nameRegexSource", "^(a+)+$"),
    ],
)
def test_path_on_the_machine_is_refused(guid: str, method: str, name: str, value: object) -> None:
    """Even an empty one. The same call without it passes."""
    wire = open_wire()
    wire.create("ElementHandle", "element@1", FRAME)
    for given_ in (value, None):
        assert f"can't take {name}" in wire.refuses(guid, method, **{name: given_})
    assert wire.passes(guid, method, selector="input")


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "../x", "a/../b", "/a", "a//b", "a/", "x" * 256, "a/" * 600 + "b", "..\\x", 7, None],
)
def test_name_of_a_file_is_one(path: object) -> None:
    """The driver would end with one that it can't open, and with it all sessions of its host."""
    wire = open_wire()
    assert "short path" in wire.refuses(CONTEXT, "createTempFiles", items=[{"name": "a"}, {"name": path}])
    if isinstance(path, str):
        assert "short path" in wire.refuses(CONTEXT, "createTempFiles", items=[], rootDirName=path)
    assert wire.passes(CONTEXT, "createTempFiles", items=[{"name": "a/b c.txt"}], rootDirName="folder")


def test_path_can_not_be_hidden_behind_another_of_the_same_name() -> None:
    """JSON allows a name twice; both sides take the last one, and the relay refuses either."""
    wire = open_wire()
    head = b'{"id":1,"guid":"%s","method":"setInputFiles","metadata":{},"params":' % FRAME.encode()
    for params in (b'{"localPaths":["/a"],"localPaths":null}', b'{"localPaths":null,"localPaths":["/a"]}'):
        assert wire.filter.from_client(head + params + b"}")[0] is Step.ANSWER
    both = head + b'{"localPaths":["/a"]},"params":{}}'
    step, passed = wire.filter.from_client(both)
    assert step is Step.FORWARD
    assert json.loads(passed)["params"] == {}


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".", ".a", "é", "a\n"])
@pytest.mark.parametrize("method", ["tracingStart", "tracingStartChunk"])
def test_name_of_a_trace_is_no_path(method: str, name: str) -> None:
    """The driver makes a file of that name."""
    wire = open_wire()
    assert "only letters" in wire.refuses("tracing@fake", method, name=name)
    assert wire.passes("tracing@fake", method, name="my-trace_1")
    assert wire.passes("tracing@fake", method)


def test_trace_comes_as_an_archive() -> None:
    """Its entries would be named by their places on the machine."""
    wire = open_wire()
    assert "archive" in wire.refuses("tracing@fake", "tracingStopChunk", mode="entries")
    for mode in ("archive", "discard"):
        assert wire.passes("tracing@fake", "tracingStopChunk", mode=mode)


def test_trace_that_would_show_a_password_is_refused() -> None:
    """It has the options of the launch in it."""
    wire = open_wire(may_trace=False)
    for method in ("tracingStart", "tracingStartChunk", "tracingStopChunk", "tracingGroup"):
        assert "password" in wire.refuses("tracing@fake", method)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        " file:///etc/passwd",
        "FILE:///etc/passwd",
        "fi\tle:///etc/passwd",
        "chrome://browser/content/browser.xhtml",
        "resource://gre/",
        "about:config",
        "view-source:http://a.example/",
        "javascript:alert(1)",
        "/relative",
        "",
        None,
        7,
        "http://daemon.example/",
    ],
)
def test_only_pages_of_the_web_are_opened(url: object) -> None:
    """Neither files, nor the browser's own pages, nor the daemon's."""
    wire = open_wire()
    assert "can" in wire.refuses(FRAME, "goto", url=url)
    assert wire.passes(FRAME, "goto", url="https://a.example/")
    assert wire.passes(FRAME, "goto", url="about:blank")


def test_last_page_stays() -> None:
    """A browser without pages would quit."""
    wire = open_wire()
    assert "last page" in wire.refuses(PAGE, "close")
    wire.create("Page", "page@2")
    assert wire.passes("page@2", "close")
    assert "last page" in wire.refuses(PAGE, "close")
    assert wire.hears({"guid": "page@2", "method": "__dispose__", "params": {}}) is not None
    wire.create("Page", "page@3")
    assert wire.passes(PAGE, "runBeforeUnload")
    assert "last page" in wire.refuses("page@3", "close")


def test_page_that_did_not_close_counts_again() -> None:
    """The reply to a call comes after the end of its page."""
    wire = open_wire()
    wire.create("Page", "page@2")
    step, call = wire.call("page@2", "close")
    assert step is Step.FORWARD
    assert "last page" in wire.refuses(PAGE, "close")
    wire.hears({"id": call["id"], "error": {"error": {"name": "Error", "message": "no"}}})
    assert wire.passes(PAGE, "close")


def test_two_clients_can_not_close_the_last_two_pages() -> None:
    """Each knows what the other is about to close."""
    shared = Shared()
    one, other = open_wire(shared=shared), open_wire(shared=shared)
    for wire in (one, other):
        wire.create("Page", "page@2")
    assert one.passes("page@2", "close")
    assert "last page" in other.refuses(PAGE, "close")


def test_client_that_closes_its_browser_leaves() -> None:
    """It gets its answer, and the driver hears nothing."""
    step, answer = open_wire().call(BROWSER, "close")
    assert (step, answer) == (Step.LEAVE, {"id": 1, "result": {}})


def test_client_that_closes_the_context_ends_the_session() -> None:
    """Its request context goes first, in Playwright's own client."""
    wire = open_wire()
    assert wire.call("request-context@fake", "dispose") == (Step.ANSWER, {"id": 1, "result": {}})
    assert wire.call(CONTEXT, "close") == (Step.END_SESSION, {"id": 2, "result": {}})
    assert wire.refused == []


def test_client_that_listens_for_dialogs_has_them_kept() -> None:
    """On its context or on one page; other events, or the end of listening, change nothing."""
    wire = open_wire()
    for guid in (CONTEXT, PAGE):
        assert wire.call(guid, "updateSubscription", event="dialog", enabled=True)[0] is (
            Step.FORWARD_KEEPING_DIALOGS
        )
        for params in ({"event": "console", "enabled": True}, {"event": "dialog", "enabled": False}):
            assert wire.call(guid, "updateSubscription", **params)[0] is Step.FORWARD


def test_notes_for_traces_are_dropped_and_an_abort_passes() -> None:
    """A driver keeps such a note until another one ends it."""
    wire = open_wire()
    note = {"id": 1, "guid": PAGE, "method": "__waitInfo__", "params": {"info": {}}, "metadata": {}}
    assert wire.send(note) == (Step.DROP, {})
    step, passed = wire.send({"guid": "", "method": "__abort__", "params": {"id": 3, "reason": "x"}})
    assert (step, passed["params"]) == (Step.FORWARD, {"id": 3, "reason": "x"})


def test_calls_under_way_are_limited() -> None:
    """A reply makes room for another."""
    wire = open_wire()
    for _ in range(MAX_CALLS):
        assert wire.passes(PAGE, "reload")
    assert f"At most {MAX_CALLS} calls" in wire.refuses(PAGE, "reload")
    wire.hears({"id": 1, "result": {}})
    assert wire.passes(PAGE, "reload")


def test_id_that_is_in_use_is_refused() -> None:
    """Its reply could not be told from the other one."""
    wire = open_wire()
    call = {"id": 5, "guid": PAGE, "method": "reload", "params": {}}
    assert wire.send(call)[0] is Step.FORWARD
    assert wire.send(call)[0] is Step.ANSWER


def test_open_files_of_a_session_are_limited() -> None:
    """The driver has a descriptor for each, and shares them with other sessions."""
    shared = Shared()
    wire, other = open_wire(shared=shared), open_wire(shared=shared)
    items = [{"name": "a"}] * MAX_OPEN_FILES
    assert "files at once" in wire.refuses(CONTEXT, "createTempFiles", items=[*items, {"name": "b"}])
    step, call = wire.call(CONTEXT, "createTempFiles", items=items)
    assert step is Step.FORWARD
    one = {"items": [{"name": "a"}]}
    for client in (wire, other):  # before the reply
        assert "files at once" in client.refuses(CONTEXT, "createTempFiles", **one)
    for number in range(MAX_OPEN_FILES):
        wire.create("WritableStream", f"stream@{number}")
    wire.hears({"id": call["id"], "result": {}})
    wire.create("Artifact", "artifact@1", PAGE)
    assert "files at once" in wire.refuses("artifact@1", "saveAsStream")
    # A close that fails makes no room, one that succeeds does, and so does the end of an object.
    _, closing = wire.call("stream@3", "close")
    wire.hears({"id": closing["id"], "error": {"error": {"name": "Error", "message": "no"}}})
    assert "files at once" in wire.refuses("artifact@1", "saveAsStream")
    _, closing = wire.call("stream@3", "close")
    wire.hears({"id": closing["id"], "result": {}})
    wire.hears({"guid": "stream@4", "method": "__dispose__", "params": {}})
    assert wire.passes("artifact@1", "saveAsStream")
    assert wire.passes("artifact@1", "stream")
    assert "files at once" in other.refuses(CONTEXT, "createTempFiles", **one)
    # The driver closes what a client leaves behind.
    wire.filter.release()
    assert (shared.files, shared.call_bytes) == (0, 0)
    assert other.passes(CONTEXT, "createTempFiles", items=items)


def test_file_that_was_read_to_its_end_is_closed() -> None:
    """The driver closes it, and not every client asks for that."""
    shared = Shared()
    wire = open_wire(shared=shared)
    wire.create("Stream", "stream@1")
    assert shared.files == 1
    for binary, files in (("YQ==", 1), ("", 0)):
        _, call = wire.call("stream@1", "read", size=1)
        wire.hears({"id": call["id"], "result": {"binary": binary}})
        assert shared.files == files


def test_folder_of_an_upload_is_no_file() -> None:
    """Nobody closes it."""
    shared = Shared()
    wire = open_wire(shared=shared)
    _, call = wire.call(CONTEXT, "createTempFiles", items=[{"name": "a"}], rootDirName="folder")
    for number in (1, 2):
        wire.create("WritableStream", f"stream@{number}")
    streams = {"rootDir": {"guid": "stream@1"}, "writableStreams": [{"guid": "stream@2"}]}
    wire.hears({"id": call["id"], "result": streams})
    assert shared.files == 1
    # Another call has none, whatever it says.
    _, call = wire.call(FRAME, "title", rootDirName="folder")
    assert wire.hears({"id": call["id"], "result": {"value": "a title"}}) is not None


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("setNetworkInterceptionPatterns", {"patterns": 7}),
        ("setNetworkInterceptionPatterns", {"patterns": [7]}),
        ("updateSubscription", {"event": 7, "enabled": True}),
        ("updateSubscription", {"event": "dialog", "enabled": "yes"}),
        ("screenshot", {"mask": 7}),
    ],
)
def test_odd_parameters_are_refused_and_counted_nowhere(method: str, params: dict[str, Any]) -> None:
    """The client goes on."""
    shared = Shared()
    wire = open_wire(shared=shared)
    assert "can't be read" in wire.refuses(PAGE, method, **params)
    assert attrs.asdict(shared) == attrs.asdict(Shared())


def test_bytes_under_way_are_limited() -> None:
    """A call that never ends may keep what it was given."""
    shared = Shared()
    wire, other = open_wire(shared=shared), open_wire(shared=shared)
    text = "x" * (31 << 20)
    step, call = wire.call(FRAME, "evaluateExpression", expression=text)
    assert step is Step.FORWARD
    assert other.passes(FRAME, "evaluateExpression", expression=text)
    assert "wait for the replies" in other.refuses(FRAME, "evaluateExpression", expression=text)
    assert other.passes(FRAME, "title")
    wire.hears({"id": call["id"], "result": {}})
    assert other.passes(FRAME, "evaluateExpression", expression=text)
    assert shared.call_bytes <= MAX_CALL_BYTES


def test_scripts_of_a_session_are_limited() -> None:
    """They stay in the driver until the session ends, whether or not their client does."""
    shared = Shared()
    wire = open_wire(shared=shared)
    for number in range(MAX_SCRIPTS):
        step, call = wire.call(CONTEXT, "addInitScript", source="1")
        assert step is Step.FORWARD, number
        wire.hears({"id": call["id"], "result": {}})
    wire.filter.release()
    assert "scripts and bindings" in open_wire(shared=shared).refuses(PAGE, "exposeBinding", name="f")


@pytest.mark.parametrize(
    ("guid", "method", "params"),
    [
        (FRAME, "click", {"selector": "a >> " * 4000}),
        (FRAME, "fill", {"selector": "a" * 2001, "value": "x"}),
        (FRAME, "setInputFiles", {"selector": "\n" * 2001, "payloads": []}),
        (FRAME, "dragAndDrop", {"source": "a", "target": "a" * 2001}),
        (FRAME, "dragAndDrop", {"source": "a" * 2001, "target": "a"}),
        (PAGE, "screenshot", {"mask": [{"frame": {"guid": FRAME}, "selector": "a" * 2001}]}),
        (FRAME, "evaluateExpression", {"expression": "x" * 200_000, "isFunction": True}),
        (FRAME, "expect", {"expression": "to.match.aria", "expectedValue": "x" * 20_000}),
        (CONTEXT, "addInitScript", {"source": "x" * (2 << 20)}),
        (FRAME, "goto", {"url": "https://a.example/", "x": [[] for _ in range(10_000)]}),
    ],
)
def test_what_the_driver_would_read_slowly_is_refused(guid: str, method: str, params: dict[str, Any]) -> None:
    """What only passes through it to a page may be large."""
    wire = open_wire()
    assert re.search("too large|at most", wire.refuses(guid, method, **params))
    assert wire.passes(FRAME, "fill", selector="a", value="x" * (3 << 20))
    assert wire.passes(FRAME, "evaluateExpression", expression="x" * 200_000, isFunction=False)
    assert wire.passes(FRAME, "expect", expression="to.have.text", expectedText=["x" * 100_000])


def test_selectors_under_way_are_limited() -> None:
    """The driver reads each in quadratic time, and calls can be pipelined."""
    shared = Shared()
    wire, other = open_wire(shared=shared), open_wire(shared=shared)
    for _ in range(25):
        assert wire.passes(FRAME, "click", selector="a" * 2000)
    assert "wait for the replies" in other.refuses(FRAME, "click", selector="a")
    assert other.passes(FRAME, "title")
    wire.hears({"id": 1, "result": {}})
    assert other.passes(FRAME, "click", selector="a")
    wire.filter.release()
    other.filter.release()
    assert attrs.asdict(shared) == attrs.asdict(Shared())


@pytest.mark.parametrize("method", ["setNetworkInterceptionPatterns", "setWebSocketInterceptionPatterns"])
@pytest.mark.parametrize(
    ("pattern", "is_quick"),
    [
        ({"glob": "**/*"}, True),
        ({"glob": "**/api"}, True),
        ({"glob": "https://a.example/*"}, True),
        ({"glob": "**/api/*"}, False),
        ({"glob": "**x*y"}, False),
        ({"glob": "https://a.example/x.png"}, True),
        ({"glob": "**a**a**x"}, False),
        ({"glob": "*.{png,jpg}"}, False),
        ({"glob": "{"}, False),
        ({"glob": 7}, False),
        ({"regexSource": "^(a+)+$", "regexFlags": ""}, False),
        ({"urlPattern": {"pathname": "/a"}}, False),
    ],
)
def test_pattern_that_could_take_long_becomes_one_for_everything(
    method: str, pattern: dict[str, Any], is_quick: bool
) -> None:
    """A client compares again with its own patterns."""
    wire = open_wire()
    for guid in (CONTEXT, PAGE):
        step, call = wire.call(guid, method, patterns=[pattern])
        assert step is Step.FORWARD
        assert call["params"] == {"patterns": [pattern if is_quick else {"glob": "**/*"}]}
    assert wire.call(PAGE, method, patterns=[])[1]["params"] == {"patterns": []}


def test_object_goes_with_those_below_it() -> None:
    """Also one that was moved there later."""
    wire = open_wire()
    wire.create("Page", "page@2")
    wire.create("Frame", "frame@2", CONTEXT)
    wire.create("ElementHandle", "element@2", "frame@2")
    wire.hears({"guid": "page@2", "method": "__adopt__", "params": {"guid": "frame@2"}})
    assert wire.passes("element@2", "click")
    wire.hears({"guid": "page@2", "method": "__dispose__", "params": {}})
    for guid in ("page@2", "frame@2", "element@2"):
        assert "no such object" in wire.refuses(guid, "click")
    assert wire.passes(FRAME, "click", selector="a")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b'{"id":1}',
        b'{"id":1.5,"guid":"","method":"initialize"}',
        b'{"id":10000000000000000000000000,"guid":"","method":"initialize"}',
        b'{"id":"a\\"b","guid":"","method":"initialize"}',
        b'{"guid":"","method":"__abort__","params":[]}',
        b'{"guid":"","method":"__abort__","params":null}',
        b'{"guid":"","method":"__abort__","params":{"id":1,"reason":"' + b"x" * 10_000 + b'"}}',
        b'{"guid":"","method":"initialize"}',
        b'{"id":1,"guid":7,"method":"initialize"}',
        b'{"id":1,"guid":"","method":"initialize","params":{"a":"\0"}}',
        b'{"id":1,"guid":"","method":"initialize"}\0{"id":2,"guid":"localUtils","method":"zip"}',
        b'{"id":1,"guid":"","method":"initialize","params":' + b"[" * 100_000,
    ],
    ids=range(18),
)
def test_what_is_no_call_is_malformed(message: bytes) -> None:
    """Two messages in one are, too: a zero byte would end the first at the driver."""
    with pytest.raises(Malformed):
        open_wire().filter.from_client(message)


def test_parameters_that_can_not_be_read_are_refused() -> None:
    """Where they have to be read."""
    wire = open_wire()
    step, _ = wire.send({"id": 1, "guid": FRAME, "method": "goto", "params": ["file:///"]})
    assert step is Step.ANSWER


def test_another_browser_is_not_shown() -> None:
    """A session's client must not get to a browser that shares its driver."""
    wire = open_wire()
    params = {"type": "Browser", "initializer": {}, "guid": "browser@another"}
    with pytest.raises(ForeignBrowser):
        wire.hears({"guid": "browser-type@fake", "method": "__create__", "params": params})


def test_what_is_no_message_of_a_driver_is_malformed() -> None:
    """It speaks another protocol, then."""
    for message in (b"", b"{}", b'{"method":"close","guid":""}', b'{"guid":"","method":"__create__"}'):
        with pytest.raises(Malformed):
            open_wire().filter.from_driver(message)


def test_place_of_a_download_on_the_machine_is_not_told() -> None:
    """A client can't use it anyway."""
    wire = open_wire()
    params = {"type": "Artifact", "initializer": {"absolutePath": "/where/it/is"}, "guid": "artifact@1"}
    heard = wire.hears({"guid": PAGE, "method": "__create__", "params": params})
    assert heard is not None
    assert heard["params"]["initializer"] == {"absolutePath": ""}


def test_events_of_objects_pass_as_they_came() -> None:
    """Byte by byte, whatever a page has put into them."""
    event = b'{"guid":"page@fake","method":"console","params" : {"text":"\\ud800 \xf0\x9f\xa6\x8a"}}'
    assert open_wire().filter.from_driver(event) == event


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"\ud800", r"\ufffd"),
        (r"\uDC00x", r"\ufffdx"),
        (r"\ud83e\udd8a", r"\ud83e\udd8a"),
        (r"\ud83e\ud83e\udd8a\udd8a", r"\ufffd\ud83e\udd8a\ufffd"),
        (r"\\ud800", r"\\ud800"),
        (r"\\\ud800\n\"", r"\\\ufffd\n\""),
        (r"\u00e9\ufffd", r"\u00e9\ufffd"),
    ],
)
def test_lone_surrogates_are_replaced_and_nothing_else(text: str, read: str) -> None:
    """A page can have them in any of its texts, and UTF-8 can't."""
    assert without_lone_surrogates(f'"{text}"'.encode()).decode() == f'"{read}"'


@given(st.text(st.characters(codec=None)))
def test_any_text_of_a_page_passes(text: str) -> None:
    """In every kind of message that has to be read."""
    wire = open_wire()
    created = {"type": "Frame", "initializer": {"name": text}, "guid": "frame@2"}
    for message in (
        {"guid": PAGE, "method": "console", "params": {"text": text}},
        {"guid": PAGE, "method": "__create__", "params": created},
        {"guid": "frame@2", "method": "__dispose__", "params": {"reason": text}},
    ):
        assert wire.hears(message) == message
    step, call = wire.call(FRAME, "fill", selector="a", value=text)
    assert step is Step.FORWARD
    assert call["params"]["selector"] == "a"
