"""What Python sees besides the core itself: names, sizes, the build, and the transitions as data.

From the table docs/states.md and the tests are made.
"""

from enum import IntEnum
from typing import NamedTuple


cdef extern from *:
    """
    #ifndef FASTSCHED_DEBUG
    #define FASTSCHED_DEBUG 0
    #endif
    """
    const bint FASTSCHED_DEBUG

EXTERNAL = F_EXTERNAL
SECEDED = F_SECEDED
EARLY = F_EARLY
BYTES_PER_TASK = sizeof(Task)
BYTES_PER_EDGE = sizeof(Edge)
BYTES_PER_REPLICA = sizeof(Replica)


def build():
    """How this module was built."""
    return {"debug": bool(FASTSCHED_DEBUG), "compiled": True, "cython": cython.__version__}


class State(IntEnum):
    """Where a task row is in its life."""

    FREE = S_FREE
    RELEASED = S_RELEASED
    WAITING = S_WAITING
    READY = S_READY
    ASSIGNED = S_ASSIGNED
    MEMORY = S_MEMORY
    ERRED = S_ERRED


class Effect(IntEnum):
    """What the machine must do."""

    ASSIGN = E_ASSIGN
    DROP = E_DROP
    FREE = E_FREE
    MEMORY = E_MEMORY
    ERRED = E_ERRED
    LOST = E_LOST
    FORGET = E_FORGET
    FETCH = E_FETCH
    REJOIN = E_REJOIN


class Event(IntEnum):
    """What can happen to a row."""

    NEEDED = 1
    UNNEEDED = 2
    INPUT_MEMORY = 3
    INPUT_LOST = 4
    INPUT_ERRED = 5
    PLACE = 6
    CLAIM = 7
    FINISH = 8
    FAIL = 9
    RETRY = 10
    GIVE_BACK = 11
    ERR = 12
    REPLICA = 13
    DROP_REPLICA = 14
    REMOVE_WORKER = 15
    SECEDE = 16
    REJOIN = 17
    HAND_OVER = 18
    TAKE_BACK = 19
    DEPENDENT_GONE = 20
    PLACE_EARLY = 21
    RECALL = 22
    PUBLISH = 23
    SPECIFY = 24


class Transition(NamedTuple):
    """One row of the table: what `event` does to a row in `state`, if `when` holds ("" = always)."""

    state: State
    event: Event
    when: str
    next: State
    effects: tuple


# One line: state, event, when ("" = always), next state, effects on the row itself.
_TABLE = """
RELEASED NEEDED         | inputs in memory            | READY    |
RELEASED NEEDED         | an input missing            | WAITING  |
RELEASED NEEDED         | an input erred              | ERRED    | ERRED
RELEASED NEEDED         | external                    | WAITING  | FETCH
RELEASED NEEDED         | its only worker is gone     | ERRED    | ERRED
RELEASED DEPENDENT_GONE |                             | FREE     | FORGET
RELEASED PUBLISH        | computable                  | MEMORY   | MEMORY
WAITING  UNNEEDED       | has dependents              | RELEASED |
WAITING  UNNEEDED       | no dependents               | FREE     | FORGET
WAITING  INPUT_MEMORY   | computable                  | READY    |
WAITING  INPUT_ERRED    | computable                  | ERRED    | ERRED
WAITING  ERR            |                             | ERRED    | ERRED
WAITING  REPLICA        | external                    | MEMORY   | MEMORY
WAITING  REMOVE_WORKER  | only worker of the task     | ERRED    | ERRED
WAITING  PLACE_EARLY    | its input is assigned       | ASSIGNED | ASSIGN
WAITING  CLAIM          | computable                  | ASSIGNED |
WAITING  PUBLISH        | computable                  | MEMORY   | MEMORY
WAITING  HAND_OVER      | computable                  | WAITING  |
WAITING  TAKE_BACK      | handed over, inputs in memory | READY  |
WAITING  TAKE_BACK      | handed over, an input missing | WAITING |
WAITING  TAKE_BACK      | handed over, an input erred | ERRED    | ERRED
WAITING  SPECIFY        | external, inputs in memory  | READY    |
WAITING  SPECIFY        | external, an input missing  | WAITING  |
WAITING  SPECIFY        | external, an input erred    | ERRED    | ERRED
WAITING  SPECIFY        | external, its value is there | MEMORY  | MEMORY
READY    UNNEEDED       | has dependents              | RELEASED |
READY    UNNEEDED       | no dependents               | FREE     | FORGET
READY    INPUT_LOST     |                             | WAITING  |
READY    INPUT_ERRED    |                             | ERRED    | ERRED
READY    PLACE          |                             | ASSIGNED | ASSIGN
READY    CLAIM          |                             | ASSIGNED |
READY    PUBLISH        |                             | MEMORY   | MEMORY
READY    ERR            |                             | ERRED    | ERRED
READY    REMOVE_WORKER  | only worker of the task     | ERRED    | ERRED
READY    HAND_OVER      |                             | WAITING  |
ASSIGNED UNNEEDED       | has dependents              | RELEASED | DROP
ASSIGNED UNNEEDED       | no dependents               | FREE     | DROP FORGET
ASSIGNED INPUT_LOST     | early                       | WAITING  | DROP
ASSIGNED INPUT_ERRED    | early                       | ERRED    | DROP ERRED
ASSIGNED RECALL         | early                       | WAITING  | DROP
ASSIGNED FINISH         |                             | MEMORY   | MEMORY
ASSIGNED FAIL           |                             | ERRED    | ERRED
ASSIGNED RETRY          | inputs in memory            | READY    |
ASSIGNED RETRY          | an input missing            | WAITING  |
ASSIGNED RETRY          | an input erred              | ERRED    | ERRED
ASSIGNED GIVE_BACK      | inputs in memory            | READY    |
ASSIGNED GIVE_BACK      | an input missing            | WAITING  |
ASSIGNED GIVE_BACK      | an input erred              | ERRED    | ERRED
ASSIGNED ERR            |                             | ERRED    | DROP ERRED
ASSIGNED REMOVE_WORKER  | inputs in memory            | READY    |
ASSIGNED REMOVE_WORKER  | an input missing            | WAITING  |
ASSIGNED REMOVE_WORKER  | an input erred              | ERRED    | ERRED
ASSIGNED REMOVE_WORKER  | only worker of the task     | ERRED    | ERRED
ASSIGNED SECEDE         |                             | ASSIGNED |
ASSIGNED REJOIN         | seceded, a free slot        | ASSIGNED |
ASSIGNED REJOIN         | seceded, no free slot       | ASSIGNED | REJOIN
MEMORY   UNNEEDED       | has dependents              | RELEASED | FREE
MEMORY   UNNEEDED       | no dependents               | FREE     | FREE FORGET
MEMORY   ERR            |                             | ERRED    | FREE ERRED
MEMORY   REPLICA        |                             | MEMORY   |
MEMORY   DROP_REPLICA   | inputs in memory            | READY    | LOST
MEMORY   DROP_REPLICA   | an input missing            | WAITING  | LOST
MEMORY   DROP_REPLICA   | an input erred              | ERRED    | LOST ERRED
MEMORY   DROP_REPLICA   | external                    | ERRED    | LOST ERRED
MEMORY   DROP_REPLICA   | handed over                 | WAITING  | LOST FETCH
MEMORY   DROP_REPLICA   | its only worker is gone     | ERRED    | LOST ERRED
MEMORY   REMOVE_WORKER  | inputs in memory            | READY    | LOST
MEMORY   REMOVE_WORKER  | an input missing            | WAITING  | LOST
MEMORY   REMOVE_WORKER  | an input erred              | ERRED    | LOST ERRED
MEMORY   REMOVE_WORKER  | external                    | ERRED    | LOST ERRED
MEMORY   REMOVE_WORKER  | handed over                 | WAITING  | LOST FETCH
MEMORY   REMOVE_WORKER  | only worker of the task     | ERRED    | LOST ERRED
ERRED    UNNEEDED       | has dependents              | RELEASED |
ERRED    UNNEEDED       | no dependents               | FREE     | FORGET
"""


def transition_table():
    """Every (state, event) pair that does something."""
    table = []
    for line in _TABLE.strip().splitlines():
        event, when, following, effects = (part.strip() for part in line.split("|"))
        state, event = event.split()
        effects = tuple(Effect[name] for name in effects.split())
        table.append(Transition(State[state], Event[event], when, State[following], effects))
    return table
