"""The code of each message on the wire, and who may send it.

One concern: these tables. What the messages say stands in `messages`, which is all that this imports; `codec` reads and
writes by the codes, and each end of a connection lets in what the other one may send.
"""

from __future__ import annotations

from fastsched.wire.messages import (
    Accept,
    Adopt,
    Answer,
    Bring,
    Call,
    Cancel,
    Circle,
    Claim,
    Data,
    Despair,
    Dismiss,
    Done,
    Drop,
    Expect,
    Free,
    GetData,
    Grant,
    Keep,
    Locate,
    Located,
    Obituary,
    Oversee,
    Pressure,
    Publish,
    Pulse,
    Put,
    RanFunction,
    Refuse,
    Register,
    Release,
    Replicate,
    Report,
    Retire,
    Retract,
    Role,
    Run,
    RunFunction,
    Scatter,
    Seek,
    Shutdown,
    Sought,
    Submit,
    Surplus,
    Waiting,
    Want,
    Welcome,
)

__all__ = ["ALLOWED", "CODES", "MESSAGES"]

MESSAGES: dict[int, type] = {
    1: Submit,
    2: Want,
    3: Release,
    4: Cancel,
    5: Scatter,
    6: Locate,
    7: Call,
    8: Keep,
    20: Report,
    21: Located,
    22: Answer,
    40: Run,
    41: Free,
    42: Retract,
    43: Drop,
    44: Put,
    45: RunFunction,
    46: Shutdown,
    47: Adopt,
    48: Grant,
    49: Circle,
    50: Seek,
    51: Accept,
    55: Replicate,
    60: Done,
    61: RanFunction,
    62: Publish,
    63: Surplus,
    64: Claim,
    65: Waiting,
    66: Sought,
    67: Bring,
    70: Oversee,
    71: Expect,
    72: Obituary,
    73: Pressure,
    74: Despair,
    75: Dismiss,
    79: Retire,
    80: Register,
    81: Welcome,
    82: Refuse,
    83: Pulse,
    100: GetData,
    101: Data,
}
"""The code of each message on the wire: 1 to 253. A code is never given to another message."""

CODES: dict[type, int] = {kind: code for code, kind in MESSAGES.items()}

_CLIENT = (Submit, Want, Release, Cancel, Scatter, Locate, Call, Keep, Bring)
_WORKER = (Done, RanFunction, Publish, Surplus, Claim, Waiting, Sought)
_SUPERVISOR = (Oversee, Expect, Obituary, Pressure, Despair, Retire)
_BOTH = (Register, Pulse)
_TO_EACH = (Report, Located, Answer, Welcome, Refuse, Pulse)
_TO_WORKERS = (Run, Free, Retract, Drop, Put, Replicate, RunFunction, Shutdown, Adopt, Grant, Circle, Seek, Accept)

ALLOWED: dict[Role, frozenset[type]] = {
    Role.CLIENT: frozenset((*_CLIENT, *_BOTH, GetData)),
    Role.WORKER: frozenset((*_CLIENT, *_WORKER, *_SUPERVISOR, *_BOTH, GetData, Data)),
    Role.SCHEDULER: frozenset((*_TO_EACH, *_TO_WORKERS, Dismiss, Retire)),
}
"""What each role may send. Data listeners of workers further allow only `GetData`."""
