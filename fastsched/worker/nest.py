"""Tasks that the tasks of this worker have launched: kept here as long as nobody else needs to know of them.

One concern: stand between the client inside a worker and the scheduler. To the client it is the scheduler: it takes
`Submit`, `Release`, `Want`... and answers with `Report`. To the scheduler it is a client like any other. Pure, as every
machine; `machine` holds it, and the server calls both under the worker's lock. Here stands when something is done, and
what each message means; the children and the steps of their lives stand in `children`, what leaves in `post`.

Theory of operation
-------------------
A local task is a submit that has not been sent yet. The thread of the parent that waits for a child *claims* it and
runs it in place; nothing of that leaves the process. Until it has begun a child can be *handed over*: its `Submit` is
sent, and from then on it is a task of the scheduler's like any other, which may well come back to this worker. That
happens when its parent's thread makes no progress for a tick of the backstop, when the scheduler *grants* idle slots,
when it must not run in its parent's thread, and when something leaves the process that refers to it. A child that has
begun, or has ended, and is referred to from elsewhere is *published* with what it was made from: the scheduler learns
of a task that is running, or in memory, here.

A child has one fid for each future of the client, and one `public` fid under which the scheduler knows it, if it does.
Messages about public fids are translated; those about fids that are no child's pass. May import: messages, config, and
its own room's records.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from math import inf

from fastsched.config import Config
from fastsched.wire.items import fields, make
from fastsched.wire.messages import (
    Adopt,
    Cancel,
    Claim,
    ErrorItem,
    ErrorKind,
    FailedItem,
    Frames,
    FunctionItem,
    Grant,
    Keep,
    Locate,
    Message,
    Release,
    ResultItem,
    Scatter,
    Seek,
    Sought,
    Surplus,
    TaskItem,
    WantItem,
)
from fastsched.wire.runs import Entry
from fastsched.worker import invariants
from fastsched.worker.children import TRAVEL_MICROS, Children
from fastsched.worker.jobs import Brood, Child, ChildStage, Function, Job, call_of
from fastsched.worker.lineage import first_to_run, let_inputs_go
from fastsched.worker.post import Post
from fastsched.worker.store import Store, Value
from fastsched.worker.translate import Translator

__all__ = ["Nest"]

# Plain ints: to look up a member of an enum runs Python code.
WAITING, READY, RUNNING, DONE, FAILED, AWAY, GONE = map(int, ChildStage)

MOST_AT_ONCE = 256
"""So many children one tick hands over for a thread that stands still; the others are not late a tick later."""

MOST_CLAIMED = 8  # children that a thread that is stuck asks for
HANDFUL = 2  # children that are not worth telling of

_BY_CANCEL = int(ErrorKind.CANCELLED)


class Nest:
    """The children of one worker's tasks.

    Parameters
    ----------
    config : Config
        Limits.
    functions : dict of Function
        The machine's, by id: what was learnt of a function is learnt for both.
    orders : dict of Job
        The machine's jobs, by key: those that are queued, that run, and whose value is here. A child with such a key is
        that task.
    store : Store
        Where those values are, by row.
    """

    def __init__(self, config: Config, functions: dict[bytes, Function], orders: dict[str, Job], store: Store) -> None:
        self._functions = functions
        self._orders = orders
        self._store = store
        self._most_functions = config.functions
        self._local = config.local_tasks > 0
        self._known: OrderedDict[bytes, Function] = OrderedDict()  # what the client believes to have sent
        self._asked: dict[int, Child] = {}  # by task id, those that run and answer an order of the scheduler
        self._post = Post(config.functions, config.batch_items)  # to the scheduler, in order
        self._children = Children(self._post, config.inline_bytes)
        self._translator = Translator(self._children)
        self._told_surplus = 0

    # -- what the client inside says ----------------------------------------------------------------------------------

    def take(self, items: Iterable[Entry], brood: Brood | None) -> None:
        """What the client says, as items (see `wire.runs`).

        `brood`: of the calling thread, if it runs a task; else all that is new is sent.
        """
        for kind, item in items:
            if kind is TaskItem:
                self._submit(item, brood)
            elif kind is Release:
                self._release(item)
            elif kind is FunctionItem:
                self._learn(item)
            elif kind is WantItem:
                self._want(item, brood)
            elif kind is Cancel:
                self._cancel(item)
            elif kind is Keep:
                self._keep(item.fids)
            elif kind is Locate:
                self._locate(item)
            elif kind is Scatter:
                children = self._children
                values = tuple([value._replace(pins=children.shared(value.pins)) for value in item.items])
                self._post.add(Scatter, item._replace(items=values))
            else:
                self._post.add(kind, item)

    def _learn(self, item: FunctionItem) -> None:
        fn, frames = item
        known = self._known
        known[fn] = self._functions.get(fn) or Function(fn, frames)
        if len(known) > self._most_functions:
            known.popitem(last=False)

    def _submit(self, item: TaskItem, brood: Brood | None) -> None:
        fid, key, fn, args, dependencies, pins, _, retries, parent = fields(item)
        child = self._children.known(key, fn, args)
        only_named = child is not None and child.item is None and child.stage != DONE and child.nbytes < 0
        if child is not None and not only_named:
            self._attach(child, fid, brood)
            return
        child = Child(key)
        child.item = item
        child.function = self._known[fn]
        child.args = args
        child.id = parent
        child.retries = retries
        if brood is not None:
            child.brood = brood
            brood.progress += 1  # a thread that launches more and more does not stand still
        child.fids.append(fid)
        self._children.fids[fid] = self._children.keys[key] = child
        order = self._orders.get(key)
        if order is not None and not dependencies and not pins and self._take_from(order, child, fn):
            return
        here = brood is not None and self._local and not child.function.coarse and order is None
        if only_named:  # the scheduler knows whether there is such a task; if not, this is how to make it
            here = False
        if dependencies or pins:
            here = self._tie(child, dependencies, pins) and here
        if child.stage == FAILED:
            return
        if not here:
            self._children.hand_over(child)
        elif child.unmet:
            child.stage = WAITING
        else:
            self._children.make_ready(child)

    def _take_from(self, order: Job, child: Child, fn: bytes) -> bool:
        """If an order of the scheduler for this very call was carried out here its value will do."""
        value: Value | None = self._store.get(order.row)
        if value is None or not order.call or order.call != call_of(fn, child.args):
            return False
        child.started = True
        child.type_name = value.type_name
        self._children.settle(child, value)
        return True

    def _tie(self, child: Child, dependencies: Sequence[int], pins: Sequence[int]) -> bool:
        """Find the inputs and pins of a new child. False: something about them is not here."""
        fids = self._children.fids
        lineage = [fids.get(fid) for fid in dependencies]
        pinned = [fids.get(fid) for fid in pins]
        if None in lineage or None in pinned:  # scattered values, for instance
            return False
        child.lineage = tuple(lineage)  # type: ignore[arg-type]
        child.pinned = tuple(pinned)  # type: ignore[arg-type]
        here = True
        for source in child.lineage:
            source.needs += 1
            if source.stage == FAILED:
                here = False
            elif source.stage != DONE:
                source.dependents.append(child)
                child.unmet += 1
                here = here and source.stage != AWAY
        for source in child.pinned:
            source.needs += 1
        for source in child.lineage:
            if source.stage == FAILED:
                assert source.error is not None
                self._children.fail(child, source.error)
                break
        return here

    def _attach(self, child: Child, fid: int, brood: Brood | None) -> None:
        """One more future of a child, made in the thread of this brood."""
        child.foreign = child.foreign or child.brood is not brood
        child.fids.append(fid)
        self._children.fids[fid] = child
        if child.stage == DONE:
            assert child.value is not None
            value = child.value
            self._children.finished.append(make(ResultItem, (fid, child.type_name, value.nbytes, value.frames)))
        elif child.stage == FAILED:
            self._children.erred.append(make(FailedItem, (fid, child.error)))
        elif child.stage == AWAY and child.nbytes >= 0:
            self._children.finished.append(make(ResultItem, (fid, child.type_name, child.nbytes, None)))

    def _want(self, item: WantItem, brood: Brood | None) -> None:
        fid, key = item
        child = self._children.keys.get(key)
        if child is not None:
            self._attach(child, fid, brood)
            return
        child = Child(key)
        child.stage = AWAY
        child.fids.append(fid)
        self._children.fids[fid] = self._children.keys[key] = child
        self._children.name(child)
        self._post.add(WantItem, make(WantItem, (child.public, key)))

    def _release(self, fid: int) -> None:
        child = self._children.fids.pop(fid, None)
        if child is None:
            self._post.add(Release, fid)
            return
        child.fids.remove(fid)
        if not child.fids and not child.needs:
            self._children.retire(child)

    def _cancel(self, message: Cancel) -> None:
        passed: list[int] = []
        for fid in message.fids:
            child = self._children.fids.get(fid)
            if child is None:
                passed.append(fid)
                continue
            if self._children.keys.get(child.key) is child:
                del self._children.keys[child.key]  # the key is free for a new task
            if child.asked and not child.public:  # others wait for this run, too: they know it by its key
                self._children.name(child)
                self._post.add(WantItem, make(WantItem, (child.public, child.key)))
            if child.public:
                passed.append(child.public)
            if child.stage not in (FAILED, GONE):
                self._children.shaken = self._children.shaken or child.stage == RUNNING
                text = message.reason or f"{child.key} was cancelled"
                self._children.fail(child, make(ErrorItem, (_BY_CANCEL, None, child.key, "", 0, text)))
        if passed:
            self._post.add(Cancel, make(Cancel, (tuple(passed), message.reason)))

    def _keep(self, fids: Sequence[int]) -> None:
        """Fire and forget: the scheduler holds them until they are done."""
        kept = []
        for fid in fids:
            child = self._children.fids.get(fid)
            if child is None:
                kept.append(fid)
            elif child.public or child.stage in (WAITING, READY, RUNNING):
                kept.append(self._children.share(child))
        if kept:
            self._post.add(Keep, make(Keep, (tuple(kept),)))

    def _locate(self, fid: int) -> None:
        child = self._children.fids.get(fid)
        self._post.add(Locate, fid if child is None else child.public)

    # -- what the scheduler says --------------------------------------------------------------------------------------

    def translated(self, messages: Iterable[Message]) -> list[Message]:
        """Messages for the client, in terms of its own fids; what is about children goes out by `ends`, too."""
        return self._translator.translated(messages)

    def receive(self, message: Message) -> bool:
        """What the scheduler wants of children. False: this is about something else."""
        if type(message) is Grant:
            self._granted(message)
        elif type(message) is Seek:
            self._seek(message)
        else:
            return False
        return True

    def _granted(self, message: Grant) -> None:
        """Slots are idle elsewhere: hand over for them."""
        self._told_surplus = 0
        if self._children.hand_over_for(message.slots):
            self._tell_surplus()

    def _seek(self, message: Seek) -> None:
        """Somebody wants these keys: tell of the children that have one. The answer comes behind that."""
        numbers = []
        for number, key in message.items:
            child = self._children.keys.get(key)
            if child is not None and not self._children.is_warm(child):
                self._children.share(child)
            numbers.append(number)
        self._post.add(Sought, make(Sought, (tuple(numbers),)))

    def adopted(self, message: Adopt) -> list[tuple[Child, int, int, ErrorItem | None]]:
        """Published children have ids now. Gives back what the scheduler has to hear, or can ask for, under them.

        Those that have ended, with task id, attempt (0: the outcome is known) and the error of those that failed.
        """
        found: list[tuple[Child, int, int, ErrorItem | None]] = []
        for fid, id, run in message.items:
            child = self._children.unadopted.get(fid)
            if child is None or not id:
                continue
            late = self._children.late.get(fid)
            if child.stage == RUNNING:
                self.ask(child, id, run)
            elif child.stage == DONE:
                found.append((child, id, run, None))
            elif run and (late is not None or child.stage == FAILED):
                found.append((child, id, run, late or child.error))
        return found

    def settled(self, message: Adopt) -> None:
        """What `adopted` gave back is taken care of."""
        for fid, _, _ in message.items:
            self._children.not_due(fid)

    def ask(self, child: Child, id: int, attempt: int) -> None:
        """The outcome of a child that runs is that of this attempt, too."""
        child.asked.append((id, attempt))
        self._asked[id] = child
        self._children.shaken = True

    def unask(self, id: int, attempt: int) -> None:
        """Not any more."""
        child = self._asked.get(id)
        if child is not None and (id, attempt) in child.asked:
            child.asked.remove((id, attempt))
            del self._asked[id]
            self._children.shaken = True

    def _answered(self, child: Child) -> list[tuple[int, int]]:
        if not child.asked:
            return child.asked
        asked, child.asked = child.asked, []
        for id, _ in asked:
            self._asked.pop(id, None)
        return asked

    def part(self, mark: int, error: ErrorItem) -> None:
        """The scheduler is gone: all children end. `mark`: above all fids that the client has given so far."""
        self._children.abandon(error)
        self._asked.clear()
        self._told_surplus = 0
        self._post.forget(mark)

    def function(self, fn: bytes) -> Function | None:
        """What is known of a function that a task of this worker has brought."""
        return self._known.get(fn)

    def by_key(self, key: str, fn: bytes, args: Frames) -> Child | None:
        """The child of this key: the scheduler wants this call run here."""
        return self._children.known(key, fn, args)

    def everybody(self) -> Children:
        """All children."""
        return self._children

    # -- what threads do ----------------------------------------------------------------------------------------------

    def claim(self, stack: list[Child], fine: bool = False) -> Child | None:
        """The next child to be run in the calling thread, so that the last of `stack` comes to its end.

        What was found to need nothing more, or nothing that can be run here, leaves the stack. `fine`: only functions
        that are known to be; what was never run may be long, and goes to others.
        """
        while stack:
            child = stack[-1]
            if child.stage == READY:
                stack.pop()
                if child.function.coarse or (fine and child.function.micros == inf):
                    self._children.hand_over(child)
                    continue
                self._children.take_out(child)
                self._begin(child)
                return child
            if child.stage == WAITING:
                source = first_to_run(child)
                if source is not None:
                    stack.append(source)
                    continue
            stack.pop()
        return None

    def children(self, fids: Iterable[int]) -> list[Child]:
        """Those of these futures that have not begun, the last first: a stack for `claim`."""
        found = []
        for fid in fids:
            child = self._children.fids.get(fid)
            if child is not None and (child.stage == READY or child.stage == WAITING):
                found.append(child)
        found.reverse()
        return found

    def _begin(self, child: Child) -> None:
        child.stage = RUNNING
        child.started = True
        child.values = [source.value for source in child.lineage]  # type: ignore[misc]
        if child.brood is not None:
            child.brood.progress += 1

    def finished(self, child: Child, value: Value, pins: Sequence[str]) -> list[tuple[int, int]]:
        """A thread has run it. Gives back what orders of the scheduler that answers: task ids and attempts."""
        child.attempt += 1
        asked = self._answered(child)
        if child.brood is not None:
            child.brood.progress += 1
            if child.brood.ready and not self._told_surplus:  # the backstop may be long in coming to a busy process
                self._tell_surplus()
        child.values = ()
        if child.stage == RUNNING:
            if pins:
                child.holds = self._children.held(pins)
            child.type_name = value.type_name
            self._children.settle(child, value)
        return asked

    def failed(self, child: Child, error: ErrorItem) -> list[tuple[int, int]]:
        """A thread has run it, in vain. As `finished`."""
        child.attempt += 1
        if child.brood is not None:
            child.brood.progress += 1
        child.values = ()
        asked = self._answered(child)
        if child.stage == RUNNING:
            if not child.retries or not (child.fids or child.needs):
                self._children.fail(child, error)
            elif child.public:  # to try again is the scheduler's business
                child.stage = AWAY
                child.started = False
                if child.public in self._children.unadopted:
                    self._children.late[child.public] = error
                for source in let_inputs_go(child):
                    self._children.retire(source)
                child.lineage = child.pinned = ()
                for dependent in [dependent for dependent in child.dependents if dependent.stage == WAITING]:
                    self._children.hand_over(dependent)  # nobody here would notice that they can begin
            else:
                child.retries -= 1
                child.on_loop = False  # it may be another kind of call this time
                self._children.make_ready(child)
        return asked

    # -- what waits to begin ------------------------------------------------------------------------------------------

    def claim_away(self, brood: Brood) -> bool:
        """The thread of this brood is stuck: ask for children that were handed over. False: there are none."""
        fids = []
        for public, child in self._children.publics.items():
            if child.brood is brood and child.stage == AWAY and child.nbytes < 0 and child.key not in self._orders:
                fids.append(public)
                if len(fids) == MOST_CLAIMED:
                    break
        if fids:
            self._post.add(Claim, make(Claim, (tuple(fids),)))
        return bool(fids)

    def waits(self) -> bool:
        """Whether something waits to begin: `tick` must come by."""
        return bool(self._children.broods)

    def ages(self) -> bool:
        """Whether something stays for a moment only: `tick` must come by."""
        return bool(self._children.warm)

    def tick(self) -> None:
        """The backstop: children of threads that stand still are handed over; of the others the scheduler hears."""
        self._children.tick()
        for brood in list(self._children.broods):
            if brood.progress == brood.seen:
                self.give_up(brood)
            brood.seen = brood.progress
        if self._children.broods and not self._told_surplus:
            self._tell_surplus()

    def _tell_surplus(self) -> None:
        oldest = self._children.oldest()
        if oldest is not None and oldest.function.micros >= TRAVEL_MICROS:
            surplus = self._children.n_ready()
            if surplus >= HANDFUL:
                self._told_surplus = surplus
                self._post.add(Surplus, make(Surplus, (surplus,)))

    def give_up(self, brood: Brood) -> None:
        """The thread of this brood will not come to it: others shall."""
        for child in list(itertools.islice(brood.ready, MOST_AT_ONCE)):
            if child.stage == READY:
                self._children.hand_over(child)

    def hand_over(self, fids: Iterable[int]) -> None:
        """These must not wait for their parent's thread."""
        for child in reversed(self.children(fids)):  # the first first: others may find the way by what that needs
            self._children.hand_over(child)

    def share_keys(self, keys: Iterable[str]) -> None:
        """Something that leaves the process names these."""
        self._children.share_keys(keys)

    def undeliverable(self, fid: int, text: str) -> None:
        """The task that was to be known to the scheduler under this fid is over a limit of the wire."""
        self._children.undeliverable(fid, text)

    # -- what leaves --------------------------------------------------------------------------------------------------

    def has_messages(self) -> bool:
        """Whether there is something for the scheduler."""
        return self._post.waits()

    def messages(self) -> list[Message]:
        """To the scheduler, in order."""
        return self._post.take()

    def has_ends(self) -> bool:
        """Whether there is something for the client."""
        return bool(self._children.finished or self._children.erred)

    def ends(self) -> tuple[list[ResultItem], list[FailedItem]]:
        """To the client inside: what a `Report` would say."""
        children = self._children
        finished, children.finished = children.finished, []
        erred, children.erred = children.erred, []
        return finished, erred

    @property
    def n_children(self) -> int:
        """Tasks that it knows."""
        children = self._children
        return len({*children.fids.values(), *children.keys.values(), *children.publics.values()})

    def census(self) -> dict[str, int]:
        """How many of what is here."""
        children = self._children
        ready = sum([len(brood.ready) for brood in children.broods])
        futures, publics, keys = len(children.fids), len(children.publics), len(children.keys)
        known = {"futures": futures, "public": publics, "keys": keys, "broods": len(children.broods), "ready": ready}
        return {**known, "unadopted": len(children.unadopted), "late": len(children.late), "asked": len(self._asked)}

    def check(self) -> None:
        """Recompute every invariant; AssertionError says which does not hold."""
        invariants.check_children(self._children, self._asked)
