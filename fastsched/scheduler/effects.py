"""What the core decided, turned into messages and into changes of the books.

One concern: `apply` walks the effects of a turn in their causal order. An effect tells what happened at its place in
the order; the row may have moved on since, and may even be in that state again. So clients are told what the row is
now, once, and an effect that it has left behind changes nothing else. Called by `machine.drain`.
"""

from __future__ import annotations

from fastsched._core import Effect, State
from fastsched.scheduler.books import Books, weigh
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.prefill import Prefill
from fastsched.scheduler.records import WorkerRecord
from fastsched.scheduler.scatter import Scattering
from fastsched.scheduler.seek import Seeking
from fastsched.scheduler.task import TaskRecord, args_of
from fastsched.wire.items import make
from fastsched.wire.messages import ErrorItem, ErrorKind, Frames, InputItem, RunItem

__all__ = ["Effects"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_ASSIGN, _DROP, _FREE, _MEMORY = map(int, (Effect.ASSIGN, Effect.DROP, Effect.FREE, Effect.MEMORY))
_ERR, _LOST, _FORGET, _FETCH = map(int, (Effect.ERRED, Effect.LOST, Effect.FORGET, Effect.FETCH))
_WAITING, _READY, _IN_MEMORY, _ERRED = map(int, (State.WAITING, State.READY, State.MEMORY, State.ERRED))
_TELL_RUN, _TELL_FREE, _TELL_DROP = map(int, (Batch.RUN, Batch.FREE, Batch.DROP))
_TELL_FINISHED, _TELL_ERRED, _TELL_LOST = map(int, (Batch.FINISHED, Batch.ERRED, Batch.LOST))
_CANCELLED, _DATA_LOST = int(ErrorKind.CANCELLED), int(ErrorKind.DATA_LOST)


class Effects:
    """Effects of the core -> messages.

    Parameters
    ----------
    books : Books
        The tables.
    scattering : Scattering
        Where values are brought to workers.
    seeking : Seeking
        Where it is asked for keys that nobody has told of.
    prefill : Prefill
        Hears which workers were sent tasks.
    """

    def __init__(self, books: Books, scattering: Scattering, seeking: Seeking, prefill: Prefill) -> None:
        self._books = books
        self._scattering = scattering
        self._seeking = seeking
        self._prefill = prefill

    def apply(self) -> None:
        """End the core's turn until it is quiet: what follows from effects may have effects."""
        core = self._books.core
        while core.end_turn():
            while kind := core.next_effect():
                self._apply_one(kind, core.effect_id, core.effect_a, core.effect_b)

    def _apply_one(self, kind: int, task_id: int, a: int, b: int) -> None:
        if kind == _ASSIGN:
            self.assign(task_id, a, b)
        elif kind == _MEMORY:
            self._memory(task_id)
        elif kind == _FREE:
            self._free(task_id, a)
        elif kind == _FORGET:
            self._forget(task_id)
        elif kind == _DROP:
            self._books.worker(a).outbox.add(_TELL_DROP, (task_id, b))
        elif kind == _ERR:
            self._erred(task_id, a)
        elif kind == _LOST:
            self._lost(task_id)
        elif kind == _FETCH:
            self._fetch(task_id)
        else:
            raise AssertionError(f"the core of a scheduler has no effect {kind} (task {task_id}, {a}, {b})")

    # -- one effect each ----------------------------------------------------------------------------------------------

    def assign(self, task_id: int, handle: int, run: int) -> None:
        """Send a task to its worker."""
        books, core = self._books, self._books.core
        if not core.known(task_id):  # forgotten by what an earlier effect set free; the worker never hears of it
            return
        record = books.record(task_id)
        worker = books.worker(handle)
        function = record.function
        if function is None:
            raise AssertionError(f"{record} was assigned and has no function")
        if function.fn not in worker.functions:
            books.send_function(worker, function)
        self._prefill.assigned(worker)
        args = args_of(record)
        weight = weigh(args)
        inputs: tuple[InputItem, ...] = ()
        if record.dependencies:
            inputs = tuple([self._input(dependency, worker) for dependency in record.dependencies])
            for _, _, _, frames, _ in inputs:
                if frames is not None:
                    weight += weigh(frames)
        priority, order = core.priority(task_id), core.order(task_id)
        item = make(RunItem, (task_id, run, record.key, function.fn, args, inputs, priority, order))
        worker.outbox.add(_TELL_RUN, item, weight)

    def _input(self, record: TaskRecord, worker: WorkerRecord) -> InputItem:
        """An input of a task, as its worker must know it: the value if it is small and not there, or where it is."""
        books, core = self._books, self._books.core
        frames: Frames | None = None
        addresses: tuple[str, ...] = ()
        if core.holds(worker.handle, record.id):
            if core.n_holders(record.id) > 1:
                addresses = books.addresses(record, worker)
        elif record.frames is not None:
            frames = record.frames
        else:
            addresses = books.addresses(record, worker)
        return make(InputItem, (record.id, record.key, record.nbytes, frames, addresses))

    def _free(self, task_id: int, handle: int) -> None:
        books = self._books
        record = books.record(task_id)
        books.worker(handle).outbox.add(_TELL_FREE, task_id)
        if not books.core.known(task_id) or books.core.state(task_id) != _IN_MEMORY:  # else it has come again since
            record.told = 0
            books.drop_value(record)

    def _memory(self, task_id: int) -> None:
        books = self._books
        if not books.core.known(task_id):  # released in the turn in which it ended: its FORGET is on the way
            return
        record = books.record(task_id)
        if record.function is None:
            self._scattering.arrived(record)
        if books.core.state(task_id) != _IN_MEMORY:  # what it has become has effects of its own
            return
        if record.told != _IN_MEMORY:
            record.told = _IN_MEMORY  # also if nobody listens yet: whoever attaches later is told at once
            books.tell(_TELL_FINISHED, record)
        self._done(record)

    def _erred(self, task_id: int, cause: int) -> None:
        books = self._books
        if not books.core.known(task_id):
            return
        record = books.record(task_id)
        books.lose_value(record)  # a scattered one that was on its way
        if record.error is None and cause == task_id:  # also of a row that has moved on: others inherit it
            record.error = self._unexplained(record)
        if books.core.cause(task_id) != cause:  # wanted again since: what it has become has effects of its own
            return
        if record.function is None:
            self._seeking.ended(record)
        error = record.error
        if error is None or cause != task_id:
            error = record.error = self._inherited(record, cause)
        if error.kind == _CANCELLED:
            books.unkey(record)
        if record.told != _ERRED:  # else it has ended so twice in this turn
            record.told = _ERRED
            books.tell(_TELL_ERRED, record)
        self._done(record)

    def _lost(self, task_id: int) -> None:
        record = self._books.record(task_id)
        record.told = 0
        self._books.lose_value(record)
        self._books.tell(_TELL_LOST, record)

    def _forget(self, task_id: int) -> None:
        record = self._books.record(task_id)
        if record.function is None:
            self._scattering.forget(record)
            self._seeking.forget(record)
        self._books.forget(record)

    def _fetch(self, task_id: int) -> None:
        books = self._books
        record = books.record(task_id)
        if not books.core.known(task_id) or books.core.state(task_id) != _WAITING:
            return
        if record.frames is not None:
            self._scattering.place(record)
        elif self._seeking.is_sought(record):
            self._seeking.ask(record)
        else:
            record.error = self._unexplained(record)
            record.told = 0
            books.core.err(task_id)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _done(self, record: TaskRecord) -> None:
        """There is an outcome: fire-and-forget tasks need not be held any longer."""
        if record.kept:
            record.kept = False
            self._books.unwant(record)

    def _inherited(self, record: TaskRecord, cause: int) -> ErrorItem:
        """Why a task ended whose input erred: the error of the task in which it began, as its inputs know it."""
        core = self._books.core
        for dependency in record.dependencies:
            if dependency.error is not None and core.known(dependency.id) and core.cause(dependency.id) == cause:
                return dependency.error
        error = self._books.record(cause).error
        if error is None:
            raise AssertionError(f"{record} erred because of {self._books.record(cause)}, which has no error")
        return error

    def _unexplained(self, record: TaskRecord) -> ErrorItem:
        """The core ended a task by itself: a scattered value without a holder."""
        text = f"{record.key} was scattered, not computed, and no worker holds it any more"
        return make(ErrorItem, (_DATA_LOST, None, record.key, "", 0, text))
