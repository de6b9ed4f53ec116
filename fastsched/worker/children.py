"""The children of one worker's tasks: where each is found, and what becomes of it.

One concern: the tables of children, and the steps of their lives. A child ends, or it is handed over, or nobody wants
it any more; each step leads to others, for those that wait for it and for those that it was made from. What the
scheduler shall hear goes to `post`, what the client shall hear is collected here. `nest` holds it, decides when which
step is due, and knows the protocols. May import messages, and its own room's records.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from fastsched.wire.items import make
from fastsched.wire.messages import (
    ErrorItem,
    ErrorKind,
    FailedItem,
    Frames,
    LocalItem,
    Release,
    ResultItem,
    Stage,
    TaskItem,
)
from fastsched.worker.jobs import Brood, Child, ChildStage
from fastsched.worker.lineage import (
    can_leave,
    drop_held,
    drop_roots,
    held_keys,
    is_light,
    keep_roots,
    let_inputs_go,
    made_from,
    need_less,
    origin_of,
)
from fastsched.worker.post import Post
from fastsched.worker.store import Value

__all__ = ["FIRST_PUBLIC", "TRAVEL_MICROS", "Children"]

TRAVEL_MICROS = 25.0
"""A finer task costs more to send away than to run here."""

GRANT_MICROS = 10_000.0
"""Work for so long is handed over per idle slot, if there is as much: the way to the next grant may take a while."""

MOST_WARM = 64
"""So many values serve equal calls a moment longer than their futures live."""

WARM_BYTES = 1024
"""Larger ones do not; nor do those of larger arguments."""

MOMENT = 25
"""Ticks of the backstop: a few hundredths of a second, in which the system may let a thread wait."""

FIRST_PUBLIC = 1 << 62
"""Beyond what any client counts up to."""

# Plain ints: to look up a member of an enum runs Python code.
WAITING, READY, RUNNING, DONE, FAILED, AWAY, GONE = map(int, ChildStage)
_LINEAGE, _RUNNING, _FINISHED, _FAILED = map(int, (Stage.LINEAGE, Stage.RUNNING, Stage.FINISHED, Stage.FAILED))
_SERIALIZATION, _SCHEDULER_LOST = int(ErrorKind.SERIALIZATION), int(ErrorKind.SCHEDULER_LOST)


class Children:
    """All of them.

    Parameters
    ----------
    post : Post
        Takes what the scheduler shall hear.
    inline_bytes : int
        Larger values are not sent along with the news of them.

    Attributes
    ----------
    fids : dict of Child
        By the numbers of the client's futures.
    publics : dict of Child
        By public fid, those that the scheduler knows.
    keys : dict of Child
        By key, less those whose key is free for a new task.
    broods : dict of Brood
        Those with children that are ready; the values mean nothing.
    unadopted : dict of Child
        Published while they ran or with their value, by public fid. They stay until the scheduler has said by `Adopt`
        whether it counts on that: who only looks at futures and dependents here would take them for unwanted.
    late : dict of ErrorItem
        Of those that ended in vain meanwhile, and that others may try again.
    warm : dict of Child
        Those that nobody wants any more, the oldest first, but whose value may be asked for once more in a moment: of
        calls that all make the same one, the last future may be gone before the next of them makes it.
    finished, erred : list of ResultItem, list of FailedItem
        For the client.
    handed_over : int
        How many were.
    shaken : bool
        What runs may be wanted by nobody any more: `drops` has to look.
    """

    __slots__ = (
        "_inline_bytes",
        "_numbers",
        "_old",
        "_ticks",
        "broods",
        "erred",
        "fids",
        "finished",
        "handed_over",
        "keys",
        "late",
        "post",
        "publics",
        "shaken",
        "unadopted",
        "warm",
    )

    def __init__(self, post: Post, inline_bytes: int) -> None:
        self.post = post
        self._inline_bytes = inline_bytes
        self._numbers = itertools.count(FIRST_PUBLIC)
        self.fids: dict[int, Child] = {}
        self.publics: dict[int, Child] = {}
        self.keys: dict[str, Child] = {}
        self.broods: dict[Brood, None] = {}
        self.unadopted: dict[int, Child] = {}
        self.late: dict[int, ErrorItem] = {}
        self.finished: list[ResultItem] = []
        self.erred: list[FailedItem] = []
        self.handed_over = 0
        self.shaken = False
        self.warm: dict[Child, None] = {}
        self._old = 0  # so many of them were warm a moment ago
        self._ticks = 0

    # -- what becomes of one -------------------------------------------------------------------------------------------

    def settle(self, child: Child, value: Value) -> None:
        """Its value is here."""
        child.stage = DONE
        child.value = value
        frames, nbytes, type_name = value.frames, value.nbytes, child.type_name
        for fid in child.fids:
            self.finished.append(make(ResultItem, (fid, type_name, nbytes, frames)))
        dependents, child.dependents = child.dependents, []
        for dependent in dependents:
            dependent.unmet -= 1
            if not dependent.unmet and dependent.stage == WAITING:
                self.make_ready(dependent)
        self._ended(child)

    def fail(self, child: Child, error: ErrorItem) -> None:
        """It has ended without a value, and with it those that wait for it."""
        todo = [child]
        if child.stage == DONE and child.needs:  # cancelled: what has not begun with its value never will
            known = dict.fromkeys([*self.fids.values(), *self.keys.values()])
            todo = [other for other in known if can_leave(other) and child in other.lineage] + todo
        while todo:
            child = todo.pop()
            if child.stage == FAILED or child.stage == GONE:  # it waited for several of them
                continue
            if child.stage == READY:
                self.take_out(child)
            child.stage = FAILED
            child.error, child.value = error, None
            for held in drop_held(child) + drop_roots(child):
                self.retire(held)
            for fid in child.fids:
                self.erred.append(make(FailedItem, (fid, error)))
            dependents, child.dependents = child.dependents, []
            todo += [dependent for dependent in dependents if dependent.stage == WAITING]
            self._ended(child)

    def abandon(self, error: ErrorItem) -> None:
        """The scheduler is gone, and with it those that it knew: all end, and their keys are free for new tasks."""
        everyone = dict.fromkeys([*self.fids.values(), *self.publics.values(), *self.keys.values()])
        self.keys.clear()
        for child in everyone:
            child.asked = []
            if child.stage == DONE:
                child.stage = FAILED
                child.error, child.value = error, None
                for held in drop_held(child) + drop_roots(child):
                    self.retire(held)
            else:
                self.shaken = self.shaken or child.stage == RUNNING
                self.fail(child, error)
        for fid in list(self.unadopted):
            self.not_due(fid)
        for child in self.publics.values():
            child.public = 0
        self.publics.clear()
        self.finished, self.erred = [], []  # the client ends them itself

    def _ended(self, child: Child) -> None:
        if child.origin is not None:
            child.origin[1] = []  # those of later tasks may lead here
            child.origin = None
        if child.stage == DONE and (child.lineage or child.pinned):
            keep_roots(child)
        if child.lineage or child.pinned:
            for source in let_inputs_go(child):
                self.retire(source)
        else:
            child.ended = True
        if not child.fids and not child.needs:
            self.retire(child)

    def retire(self, child: Child) -> None:
        """Nobody wants it any more."""
        if not self._may_serve(child):
            self._drop(child)
            return
        child.needs += 1
        self.warm[child] = None
        if len(self.warm) > MOST_WARM:
            self._cool(next(iter(self.warm)))

    def _may_serve(self, child: Child) -> bool:
        """Whether it has a small value that was made here, and nothing else has to stay because of it."""
        if child.stage != DONE or not child.started or child.public or self.keys.get(child.key) is not child:
            return False
        if child.lineage or child.pinned or child.holds or child.roots:
            return False
        assert child.value is not None
        return child.value.nbytes <= WARM_BYTES and sum([len(frame) for frame in child.args]) <= WARM_BYTES

    def is_warm(self, child: Child) -> bool:
        """Nobody wants it any more."""
        return not child.fids and child.needs == 1 and child in self.warm

    def known(self, key: str, fn: bytes, args: Frames) -> Child | None:
        """The child of this key. One that nobody wants any more is found by equal calls only: its key is free."""
        child = self.keys.get(key)
        if child is None or not self.is_warm(child):
            return child
        if child.function.fn == fn and child.args == args:
            return child
        self._cool(child)
        return None

    def _cool(self, child: Child) -> None:
        del self.warm[child]
        if self._old:
            self._old -= 1
        if need_less(child):
            self._drop(child)

    def tick(self) -> None:
        """What has been warm for a moment is not any more."""
        self._ticks += 1
        if self._ticks % MOMENT == 0:
            for child in list(itertools.islice(self.warm, self._old)):
                self._cool(child)
            self._old = len(self.warm)

    def _drop(self, child: Child) -> None:
        """It goes, and what only it has needed."""
        todo = [child]
        while todo:
            child = todo.pop()
            if self.keys.get(child.key) is child:
                del self.keys[child.key]
            if child.public:
                del self.publics[child.public]
                self.post.add(Release, child.public)
                child.public = 0
            child.value = child.error = None
            if child.holds:
                todo += drop_held(child)
            if child.roots:
                todo += drop_roots(child)
            if child.stage == RUNNING:  # it ends first
                self.shaken = True
                continue
            begun = child.stage != WAITING and child.stage != READY
            if child.stage == READY:
                self.take_out(child)
            child.stage = GONE
            if not begun:
                todo += let_inputs_go(child)

    def held(self, pins: Sequence[str]) -> tuple[Child, ...]:
        """The futures inside a value, which live as long as it does."""
        held = []
        for key in pins:
            child = self.keys.get(key)
            if child is not None:
                child.needs += 1
                held.append(child)
        return tuple(held)

    # -- what has not begun --------------------------------------------------------------------------------------------

    def make_ready(self, child: Child) -> None:
        """It can begin: in the thread of its parent, or else elsewhere."""
        brood = child.brood
        if brood is None:
            self.hand_over(child)
            return
        child.stage = READY
        if not brood.ready:
            self.broods[brood] = None
        brood.ready[child] = None

    def take_out(self, child: Child) -> None:
        """It waits in its brood no longer."""
        brood = child.brood
        assert brood is not None
        del brood.ready[child]
        if not brood.ready:
            del self.broods[brood]

    def oldest(self) -> Child | None:
        """One of those that have been ready for long, and that take longer than to send what they need."""
        for brood in self.broods:
            for child in brood.ready:
                if is_light(child):
                    return child
        return None

    def n_ready(self) -> int:
        """So many could begin."""
        return sum([len(brood.ready) for brood in self.broods])

    def hand_over_for(self, slots: int) -> bool:
        """So many slots are idle elsewhere. False: there is nothing that would be worth it."""
        most = max(slots, self.n_ready() * slots // (slots + 1))  # a fair part
        micros = GRANT_MICROS * slots
        while micros > 0.0 and most > 0:
            child = self.oldest()
            if child is None or child.function.micros < TRAVEL_MICROS:
                return False
            self.hand_over(child)
            micros -= child.function.micros
            most -= 1
        return True

    def hand_over(self, child: Child) -> None:
        """Send the `Submit`: of inputs that have not begun first, then of what waits for it."""
        todo = [child]
        while todo:
            child = todo[-1]
            ahead = [source for source in child.lineage + child.pinned if can_leave(source)]
            if ahead:
                todo += ahead
                continue
            todo.pop()
            if not child.stage or can_leave(child):  # else it was needed twice, and may even be gone by now
                waiting = [dependent for dependent in child.dependents if dependent.stage == WAITING]
                child.dependents = []  # in one go: each would be looked for among all of them
                self._send(child)
                todo += waiting

    def _send(self, child: Child) -> None:
        item = child.item
        assert item is not None
        if child.lineage or child.pinned:  # not by their fids, which may be released
            dependencies = tuple([self.share(source) for source in child.lineage])
            pins = tuple([self.share(source) for source in child.pinned])
        else:
            dependencies, pins = self.shared(item.dependencies), self.shared(item.pins)
        if self.post.any_strays(dependencies) or self.post.any_strays(pins):
            text = f"{child.key} needs a future of a scheduler that is gone"
            self.fail(child, make(ErrorItem, (_SCHEDULER_LOST, None, child.key, "", 0, text)))
            return
        if child.stage and not can_leave(child):  # it left with what one of these has taken along
            return
        if child.stage == READY:
            self.take_out(child)
        child.stage = AWAY
        self.name(child)
        self.post.need(child.function)
        fields = (child.public, child.key, item.fn, item.args, dependencies, pins, item.priority, child.retries)
        self.post.add(TaskItem, make(TaskItem, (*fields, item.parent)))
        self.handed_over += 1
        if child.lineage:
            child.origin = origin_of(child)
        for source in let_inputs_go(child):
            self.retire(source)
        child.lineage = child.pinned = ()  # the scheduler's now

    def name(self, child: Child) -> None:
        """Give it a public fid."""
        child.public = next(self._numbers)
        self.publics[child.public] = child

    # -- what others shall know of -------------------------------------------------------------------------------------

    def shared(self, fids: Iterable[int]) -> tuple[int, ...]:
        """The same futures, as the scheduler knows them."""
        return tuple([fid if (child := self.fids.get(fid)) is None else self.share(child) for fid in fids])

    def share(self, child: Child) -> int:
        """The public fid of a child, which the scheduler knows from here on."""
        if not child.public:
            if child.stage == WAITING or child.stage == READY:
                self.hand_over(child)
            else:
                self._publish(child)
        return child.public

    def share_keys(self, keys: Iterable[str]) -> None:
        """Something that leaves the process names these."""
        for key in keys:
            child = self.keys.get(key)
            if child is not None:
                self.share(child)

    def _publish(self, child: Child) -> None:
        """Tell of a child that has begun, and of all that it was made from, inputs first."""
        names: dict[Child, int] = {}  # in order, with the fids of this message
        todo = [child]
        while todo:
            child = todo[-1]
            if child.public or child in names:
                todo.pop()
                continue
            ahead = [source for source in made_from(child) if not source.public and source not in names]
            leaving = [source for source in ahead if can_leave(source)]  # pins
            for source in leaving:
                self.hand_over(source)
            if len(leaving) < len(ahead):
                todo += [source for source in ahead if not source.public]
                continue
            todo.pop()
            names[child] = next(self._numbers)
            for held in child.holds:
                self.share(held)
        for child in names:
            self.post.need(child.function)
        for child, fid in names.items():
            if not child.public:  # else it was told because a value holds its future
                self._tell(child, fid, names)

    def _tell(self, child: Child, fid: int, names: dict[Child, int]) -> None:
        item = child.item
        assert item is not None
        inputs: tuple[int, ...] = ()
        pins: tuple[int, ...] = ()
        if child.stage != FAILED:
            inputs = tuple([source.public or names[source] for source in child.lineage])
            pins = tuple([source.public or names[source] for source in child.pinned])
        stage, type_name, nbytes, frames = _LINEAGE, "", 0, None
        value_pins: tuple[str, ...] = ()
        errors: tuple[ErrorItem, ...] = ()
        if child.stage == RUNNING:
            stage = _RUNNING
        elif child.stage == DONE:
            assert child.value is not None
            stage, type_name, nbytes = _FINISHED, child.type_name, child.value.nbytes
            frames = child.value.frames if nbytes <= self._inline_bytes else None
            value_pins = held_keys(child)
        elif child.stage == FAILED:
            assert child.error is not None
            stage, errors = _FAILED, (child.error,)
        if stage != _LINEAGE:  # its number is free again after this message
            child.public = fid
            self.publics[fid] = child
        if stage in (_RUNNING, _FINISHED):
            self.unadopted[fid] = child
            child.needs += 1
        task = (fid, child.key, item.fn, item.args, inputs, pins, item.priority, child.retries, item.parent)
        became = (stage, type_name, nbytes, frames, value_pins, errors)
        self.post.add(LocalItem, make(LocalItem, task + became))

    def not_due(self, fid: int) -> None:
        """The scheduler's `Adopt` for this fid is taken care of, or will not come."""
        child = self.unadopted.pop(fid, None)
        if child is not None:
            self.late.pop(fid, None)
            if need_less(child):
                self.retire(child)

    def undeliverable(self, fid: int, text: str) -> None:
        """The task that was to be known to the scheduler under this fid is over a limit of the wire."""
        child = self.publics.pop(fid, None)
        if child is not None:
            child.public = 0
            self.not_due(fid)
            self.fail(child, make(ErrorItem, (_SERIALIZATION, None, child.key, "", 0, text)))
