"""Tasks that run though nobody wants what they do any more, and what ends with them.

One concern: who that is, and what follows. The scheduler drops an attempt that runs (it was cancelled, nobody wants it
any more, or there is a newer one); a child that runs is cancelled. A thread cannot be stopped in the middle of what the
user wrote, but at the next call of ours: `Job.dropped` is looked at there, and a thread that waits is let go. What the
task has launched does not have to wait for that: what only its thread wants goes at once. Called by `executor` under
the worker's lock; may import messages, and its own room's records.

Whom it concerns
----------------
A thread runs a task of the scheduler's, and children inside it: a *chain*, in which each task waits for the one that
runs inside. A task of the scheduler's is wanted until it is dropped. A child is wanted if the scheduler has asked for
it, if somebody else holds a future of it or needs its value, or if the task around it is wanted, and it was not
cancelled itself. So a child that others want goes on inside a task that nobody wants, and what it launches stays;
the task around it ends when it is through. If that is a child, too, it ends at once for all but its thread, with what
waits for it: whoever launches it anew must not join what runs in vain.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched.wire.items import make
from fastsched.wire.messages import ErrorItem, ErrorKind, Release
from fastsched.worker.children import Children
from fastsched.worker.context import CurrentTask
from fastsched.worker.desk import Desk
from fastsched.worker.jobs import Brood, Child, ChildStage, Job
from fastsched.worker.lineage import can_leave

__all__ = ["chain_of", "end_unwanted", "unwanted_coroutines"]

# Plain ints: to look up a member of an enum runs Python code.
RUNNING, AWAY = map(int, (ChildStage.RUNNING, ChildStage.AWAY))
_CANCELLED = int(ErrorKind.CANCELLED)


def end_unwanted(desks: Iterable[Desk], children: Children) -> None:
    """Mark what nobody wants any more of all that runs in these threads, end what only that wants, and wake them."""
    children.shaken = False
    over: set[Brood] = set()
    in_vain: list[Child] = []
    for desk in desks:
        task, brood = desk.place.task, desk.brood
        if task is None:
            continue
        chain = chain_of(task)
        if not chain[0].wanted:
            _let_go(chain, brood, children)
        if not _mark(chain, brood, in_vain) and brood is not None and not brood.over:
            brood.over = True
            over.add(brood)
        if task.job.dropped and desk.blocked is not None:
            desk.blocked.open()
    if over:
        _end_children(over, children)
    for child in in_vain:
        if child.stage == RUNNING:
            _end_all(_with_dependents(child), children)


def unwanted_coroutines(jobs: Iterable[Job]) -> list[Job]:
    """Mark those of these coroutines that nobody wants any more. They run inside no other task, and launch no brood."""
    unwanted: list[Job] = []
    for job in jobs:
        wanted = _is_wanted(job, True, None) if isinstance(job, Child) else job.wanted
        if not wanted and not job.dropped:
            job.dropped = True
            unwanted.append(job)
    return unwanted


def chain_of(task: CurrentTask) -> list[Job]:
    """What its thread runs, the outermost first."""
    chain: list[Job] = [task.job]
    while task.outer is not None:
        task = task.outer
        chain.append(task.job)
    chain.reverse()
    return chain


def _mark(chain: list[Job], brood: Brood | None, in_vain: list[Child]) -> bool:
    """Mark what is not wanted, and note the children among it. False: nothing of it is wanted."""
    wanted = any_wanted = False
    for job in chain:
        if job.dropped:  # for good: its thread may have been told already
            wanted = False
        elif isinstance(job, Child):
            wanted = _is_wanted(job, wanted, brood)
            if not wanted:
                in_vain.append(job)
        else:
            wanted = job.wanted
        job.dropped = not wanted
        any_wanted = any_wanted or wanted
    return any_wanted


def _is_wanted(child: Child, wanted: bool, brood: Brood | None) -> bool:
    """Whether a child that runs is. `wanted`: whether the task around it is; `brood`: of their thread."""
    if child.asked:
        return True
    if child.stage != RUNNING or not (child.fids or child.needs):  # it was cancelled, or released
        return False
    return wanted or _others_want(child, brood)


def _others_want(child: Child, brood: Brood | None) -> bool:
    """Whether anything but what the thread of this brood has launched, and what has not begun, needs this child."""
    todo, seen = [child], {child}
    while todo:
        child = todo.pop()
        if child.brood is not brood or child.foreign or child.needs > len(child.dependents):
            return True
        for dependent in child.dependents:
            if dependent not in seen:
                seen.add(dependent)
                todo.append(dependent)
    return False


def _let_go(chain: list[Job], brood: Brood | None, children: Children) -> None:
    """The scheduler knows whether others want what it has asked for; our own reason is gone."""
    for job in chain:
        if isinstance(job, Child) and job.asked and job.public and not _others_want(job, brood):
            _release(job, children)


def _end_children(broods: set[Brood], children: Children) -> None:
    """End what only the tasks of one of these threads want and what has no value yet.

    The newest first: they need older ones.
    """
    theirs = [child for child in children.fids.values() if child.brood in broods and not child.foreign]
    theirs.reverse()
    for child in theirs:
        if not (child.needs or child.asked):
            _end_all([child], children)


def _with_dependents(child: Child) -> list[Child]:
    """A child and what waits for it, directly or not."""
    found = {child: None}
    todo = [child]
    while todo:
        for dependent in todo.pop().dependents:
            if dependent not in found:
                found[dependent] = None
                todo.append(dependent)
    return list(found)


def _end_all(chosen: list[Child], children: Children) -> None:
    """End those of them that have no outcome."""
    unfinished: list[Child] = []
    for child in chosen:
        if can_leave(child) or child.stage == RUNNING or (child.stage == AWAY and child.nbytes < 0):
            unfinished.append(child)
            if children.keys.get(child.key) is child:
                del children.keys[child.key]  # free for a new task
    for child in unfinished:
        text = f"{child.key} was cancelled, as was the task that launched it"
        children.fail(child, make(ErrorItem, (_CANCELLED, None, child.key, "", 0, text)))
        if child.public:
            _release(child, children)


def _release(child: Child, children: Children) -> None:
    """Tell the scheduler that nobody here wants it any more."""
    del children.publics[child.public]
    children.post.add(Release, child.public)
    child.public = 0
