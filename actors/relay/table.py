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
            bringToFront clearConsoleMessages clearPageErrors close consoleMessages emulateMedia
            expectScreenshot goBack goForward hideHighlight keyboardDown keyboardInsertText keyboardPress
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

REFUSED_PARAMETERS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("ElementHandle", "setInputFiles"): frozenset({"localPaths", "localDirectory"}),
    ("Frame", "drop"): frozenset({"localPaths"}),
    ("Frame", "setInputFiles"): frozenset({"localPaths", "localDirectory"}),
    ("Page", "screencastStart"): frozenset({"record"}),
}
"""By type and method: parameters that name a file of the machine, or have one written."""

HIDDEN_TYPES: Final = frozenset({"LocalUtils", "SocksSupport", "JsonPipe", "AndroidDevice"})
"""Objects that a client never learns of. It does without, but not without the other ones."""
