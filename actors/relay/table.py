"""What a client's Playwright may call: by type of object, the methods that pass the relay.

Everything else is refused. So are other objects, such as `LocalUtils`, `BrowserType` and `APIRequestContext`:
they read and write files of the machine, launch programs, and reach the network without the browser.

The types and methods are those of Playwright's protocol: `packages/protocol/src/*.yml` in its repository.
"""

from collections.abc import Mapping
from typing import Final

PLAYWRIGHT: Final = "1.62"
"""The version of the driver that this was written for. A test compares it with the installed one."""

_ELEMENT: Final = """
    check click dblclick dispatchEvent evalOnSelector evalOnSelectorAll evaluateExpression
    evaluateExpressionHandle fill focus getAttribute hover innerHTML innerText inputValue isChecked isDisabled
    isEditable isEnabled isHidden isVisible press querySelector querySelectorAll selectOption setInputFiles
    tap textContent type uncheck waitForSelector
"""
_HAND: Final = """
    check click dblclick dispatchEvent evalOnSelector evalOnSelectorAll evaluateExpression
    evaluateExpressionHandle fill focus hover press selectOption setInputFiles tap type uncheck
"""
_HANDLE: Final = """
    dispose evaluateExpression evaluateExpressionHandle getProperty getPropertyList jsonValue
"""
_ROUTING: Final = """
    addInitScript exposeBinding setExtraHTTPHeaders setNetworkInterceptionPatterns
    setWebSocketInterceptionPatterns updateSubscription
"""

METHODS: Final[Mapping[str, frozenset[str]]] = {
    type_: frozenset(names.split())
    for type_, names in {
        "Root": "initialize",
        "Artifact": "cancel delete failure saveAsStream stream",
        "BindingCall": "reject resolve",
        "BrowserContext": f"""{_ROUTING}
            addCookies clearCookies clearPermissions clockFastForward clockInstall clockPauseAt clockResume
            clockRunFor clockSetFixedTime clockSetSystemTime cookies createTempFiles credentialsCreate
            credentialsDelete credentialsGet credentialsInstall grantPermissions newPage
            registerSelectorEngine setGeolocation setHTTPCredentials setOffline setStorageState
            setTestIdAttributeName storageState
        """,
        "Dialog": "accept dismiss",
        "Disposable": "dispose",
        "ElementHandle": f"""{_ELEMENT} {_HANDLE}
            boundingBox contentFrame ownerFrame screenshot scrollIntoViewIfNeeded selectText
            waitForElementState
        """,
        "Frame": f"""{_ELEMENT}
            addScriptTag addStyleTag ariaSnapshot blur content dragAndDrop drop expect frameElement goto
            hideHighlight highlight queryCount resolveSelector setContent title waitForFunction waitForTimeout
        """,
        "JSHandle": _HANDLE,
        "Page": f"""{_ROUTING}
            bringToFront clearConsoleMessages clearPageErrors close consoleMessages emulateMedia goBack
            goForward hideHighlight keyboardDown keyboardInsertText keyboardPress
            keyboardType keyboardUp mouseClick mouseDown mouseMove mouseUp mouseWheel pageErrors pdf
            registerLocatorHandler reload requestGC requests resolveLocatorHandlerNoReply runBeforeUnload
            screencastChapter screencastFrameAck screencastHideActions screencastRemoveOverlay
            screencastSetOverlayVisible screencastShowActions screencastShowOverlay screencastStart
            screencastStop screenshot setViewportSize touchscreenTap unregisterLocatorHandler webStorageClear
            webStorageGetItem webStorageItems webStorageRemoveItem webStorageSetItem
        """,
        "Request": "rawRequestHeaders response",
        "Response": """
            body httpVersion rawResponseHeaders securityDetails serverAddr sizes
        """,
        "Route": "abort continue fulfill",
        "Stream": "close read",
        "Tracing": """
            tracingGroup tracingGroupEnd tracingStart tracingStartChunk tracingStop tracingStopChunk
        """,
        "WebSocketRoute": "closePage closeServer connect ensureOpened sendToPage sendToServer",
        "Worker": "evaluateExpression evaluateExpressionHandle updateSubscription",
        "WritableStream": "close write",
    }.items()
}

ACTING: Final[Mapping[str, frozenset[str]]] = {
    type_: frozenset(names.split())
    for type_, names in {
        "BrowserContext": """
            addCookies addInitScript clearCookies clearPermissions clockFastForward clockInstall clockPauseAt
            clockResume clockRunFor clockSetFixedTime clockSetSystemTime credentialsCreate credentialsDelete
            credentialsInstall exposeBinding grantPermissions newPage registerSelectorEngine
            setExtraHTTPHeaders setGeolocation setHTTPCredentials setNetworkInterceptionPatterns setOffline
            setStorageState setWebSocketInterceptionPatterns
        """,
        "Dialog": "accept dismiss",
        "ElementHandle": f"{_HAND} scrollIntoViewIfNeeded selectText",
        "Frame": f"""{_HAND}
            addScriptTag addStyleTag blur dragAndDrop drop goto hideHighlight highlight setContent
            waitForFunction
        """,
        "JSHandle": "evaluateExpression evaluateExpressionHandle",
        "Page": """
            addInitScript bringToFront close emulateMedia exposeBinding goBack goForward hideHighlight
            keyboardDown keyboardInsertText keyboardPress keyboardType keyboardUp mouseClick mouseDown
            mouseMove mouseUp mouseWheel registerLocatorHandler reload requestGC runBeforeUnload
            screencastChapter screencastHideActions screencastRemoveOverlay screencastSetOverlayVisible
            screencastShowActions screencastShowOverlay setExtraHTTPHeaders setNetworkInterceptionPatterns
            setViewportSize setWebSocketInterceptionPatterns touchscreenTap webStorageClear
            webStorageRemoveItem webStorageSetItem
        """,
        "Worker": "evaluateExpression evaluateExpressionHandle",
    }.items()
}
"""By type: the methods that can change what a page shows. Only whoever has control may call them."""

REFUSED_PARAMETERS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("BrowserContext", "clearCookies"): frozenset(
        {"nameRegexSource", "domainRegexSource", "pathRegexSource"}
    ),
    ("ElementHandle", "setInputFiles"): frozenset({"localPaths", "localDirectory"}),
    ("Frame", "drop"): frozenset({"localPaths"}),
    ("Frame", "setInputFiles"): frozenset({"localPaths", "localDirectory"}),
    ("Page", "screencastStart"): frozenset({"record"}),
}
"""By type and method: parameters that name a file of the machine, have one written, or can keep the driver
busy for ever, with all sessions that share it."""

MAX_PARAMS_BYTES: Final = 16 << 10
_TEXT_BYTES, _CONTENT_BYTES = 4 << 20, 32 << 20

LARGE: Final[Mapping[tuple[str, str], int]] = {
    **{
        (type_, method): _TEXT_BYTES
        for type_ in ("ElementHandle", "Frame")
        for method in ("dispatchEvent", "fill", "type")
    },
    **{
        (type_, method): _CONTENT_BYTES
        for type_ in ("ElementHandle", "Frame", "JSHandle", "Worker")
        for method in (
            "evalOnSelector",
            "evalOnSelectorAll",
            "evaluateExpression",
            "evaluateExpressionHandle",
            "setInputFiles",
            "waitForFunction",
        )
    },
    **{(type_, "addInitScript"): 1 << 20 for type_ in ("BrowserContext", "Page")},
    ("BindingCall", "reject"): _TEXT_BYTES,
    ("BindingCall", "resolve"): _CONTENT_BYTES,
    ("BrowserContext", "addCookies"): _TEXT_BYTES,
    ("BrowserContext", "createTempFiles"): 1 << 18,
    ("BrowserContext", "registerSelectorEngine"): 1 << 20,
    ("BrowserContext", "setStorageState"): _CONTENT_BYTES,
    ("Frame", "addScriptTag"): _CONTENT_BYTES,
    ("Frame", "addStyleTag"): _CONTENT_BYTES,
    ("Frame", "drop"): _CONTENT_BYTES,
    ("Frame", "expect"): 1 << 20,
    ("Frame", "setContent"): _CONTENT_BYTES,
    ("Page", "keyboardInsertText"): _TEXT_BYTES,
    ("Page", "keyboardType"): _TEXT_BYTES,
    ("Page", "pdf"): _TEXT_BYTES,
    ("Page", "webStorageSetItem"): _TEXT_BYTES,
    ("Route", "continue"): _CONTENT_BYTES,
    ("Route", "fulfill"): _CONTENT_BYTES,
    ("WebSocketRoute", "sendToPage"): _CONTENT_BYTES,
    ("WebSocketRoute", "sendToServer"): _CONTENT_BYTES,
    ("WritableStream", "write"): _CONTENT_BYTES,
}
"""By type and method: how large the parameters may be, where that is more than `MAX_PARAMS_BYTES`.

They hold what goes to a page or a file. The driver reads the others itself, some of them slowly."""

HIDDEN_TYPES: Final = frozenset({"LocalUtils", "SocksSupport", "JsonPipe", "AndroidDevice"})
"""Objects that a client never learns of. It does without, but not without the other ones."""
