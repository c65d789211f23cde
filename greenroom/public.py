"""Greenroom's public names. Import them from `greenroom` itself."""

from greenroom.actors.browser.cells.sandbox import SandboxChoice
from greenroom.actors.browser.engines import EngineChoice
from greenroom.actors.commands import Command, Probe
from greenroom.actors.errors import (
    BrowserLost,
    CapacityExhausted,
    CleanupIncomplete,
    CloneFailed,
    CreationTimedOut,
    EngineUnavailable,
    GreenroomError,
    InternalFailure,
    NotAProfile,
    NotLoggedIn,
    OverBudget,
    Overloaded,
    PageGone,
    ProfileLocked,
    ProfileUnusable,
    ResourcesExhausted,
    SandboxUnavailable,
    SessionDeleted,
    SessionEnded,
    SessionNotFound,
    SessionNotLive,
    SupervisorStopped,
    UpstreamUnreachable,
)
from greenroom.actors.events import SessionEvent
from greenroom.actors.lifecycle import EndReason, ProcessCount, Receipt, SessionInfo, SessionState
from greenroom.actors.machine.about import MachineInfo
from greenroom.actors.machine.ports import Machine
from greenroom.actors.resources import Budget, Usage
from greenroom.actors.session.mailbox import SessionHandle
from greenroom.actors.verdict import (
    Evidence,
    Finding,
    Gate,
    LoginReason,
    LoginState,
    Method,
    Strength,
    Verdict,
)
from greenroom.supervisor.api import Supervisor, open_supervisor
from greenroom.supervisor.config import InvalidSetting, SupervisorConfig, TikTokSessionConfig
from greenroom.supervisor.events import EventStream, Subscriber
from greenroom.supervisor.messages import Holdings, SessionCount
from greenroom.supervisor.secret import Secret
from greenroom.supervisor.self_check import Check, Condition, Subject

__all__ = [
    "BrowserLost",
    "Budget",
    "CapacityExhausted",
    "Check",
    "CleanupIncomplete",
    "CloneFailed",
    "Command",
    "Condition",
    "CreationTimedOut",
    "EndReason",
    "EngineChoice",
    "EngineUnavailable",
    "EventStream",
    "Evidence",
    "Finding",
    "Gate",
    "GreenroomError",
    "Holdings",
    "InternalFailure",
    "InvalidSetting",
    "LoginReason",
    "LoginState",
    "Machine",
    "MachineInfo",
    "Method",
    "NotAProfile",
    "NotLoggedIn",
    "OverBudget",
    "Overloaded",
    "PageGone",
    "Probe",
    "ProcessCount",
    "ProfileLocked",
    "ProfileUnusable",
    "Receipt",
    "ResourcesExhausted",
    "SandboxChoice",
    "SandboxUnavailable",
    "Secret",
    "SessionCount",
    "SessionDeleted",
    "SessionEnded",
    "SessionEvent",
    "SessionHandle",
    "SessionInfo",
    "SessionNotFound",
    "SessionNotLive",
    "SessionState",
    "Strength",
    "Subject",
    "Subscriber",
    "Supervisor",
    "SupervisorConfig",
    "SupervisorStopped",
    "TikTokSessionConfig",
    "UpstreamUnreachable",
    "Usage",
    "Verdict",
    "open_supervisor",
]
