"""Greenroom for Python developers: open a supervisor in your own nursery and ask it for sessions."""

from actors.commands import Command, Probe
from actors.errors import (
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
    Overloaded,
    ProfileLocked,
    ProfileUnusable,
    SandboxUnavailable,
    SessionDeleted,
    SessionEnded,
    SessionNotFound,
    SessionNotLive,
    SupervisorStopped,
    UpstreamUnreachable,
)
from actors.events import SessionEvent
from actors.lifecycle import EndReason, SessionInfo, SessionState
from actors.machine.about import MachineInfo
from actors.session.mailbox import SessionHandle
from actors.verdict import LoginReason, LoginState, Verdict
from supervisor.config import SupervisorConfig, TikTokSessionConfig
from supervisor.events import EventStream
from supervisor.messages import SessionCount
from supervisor.secret import Secret
from supervisor.self_check import Check, Condition, Subject
from supervisor.supervisor import Supervisor, open_supervisor

__all__ = [
    "BrowserLost",
    "CapacityExhausted",
    "Check",
    "CleanupIncomplete",
    "CloneFailed",
    "Command",
    "Condition",
    "CreationTimedOut",
    "EndReason",
    "EngineUnavailable",
    "EventStream",
    "GreenroomError",
    "InternalFailure",
    "LoginReason",
    "LoginState",
    "MachineInfo",
    "NotAProfile",
    "NotLoggedIn",
    "Overloaded",
    "Probe",
    "ProfileLocked",
    "ProfileUnusable",
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
    "Subject",
    "Supervisor",
    "SupervisorConfig",
    "SupervisorStopped",
    "TikTokSessionConfig",
    "UpstreamUnreachable",
    "Verdict",
    "open_supervisor",
]
