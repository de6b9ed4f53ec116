"""What happens in a run: one function for each kind of trouble.

One concern: set up a cluster with users and faults by a seed. A scenario plans; `Cluster.finish` runs and judges. Kinds
take turns: seed modulo the number of kinds decides which one it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from fastsched.wire.messages import Verb
from tests.sim.cluster import Cluster, Machines
from tests.sim.language import Ask, Call, Outcomes, Sleep, Submit
from tests.sim.users import (
    CHILDREN,
    Habits,
    Maker,
    braid,
    chain,
    household,
    lasting,
    leaf,
    long_leaf,
    merge,
    pick,
    rambler,
    rival,
    rough,
    stumbler,
    user,
)
from tests.sim.world import World

__all__ = ["KINDS", "Scenario", "cluster_of", "kind_of"]

STOPPED_SECONDS = 60.0
"""For which a worker is stopped that nobody waits for."""

HORIZON = 0.06
"""Seconds in which faults happen: about as long as users are busy."""


Check: TypeAlias = Callable[[], None]
Plan: TypeAlias = Callable[[Cluster, random.Random], Check | None]


class Scenario(NamedTuple):
    """A kind of run. Its plan may return what else is to be checked at the end."""

    name: str
    plan: Plan
    config: dict[str, float]


KINDS: list[Scenario] = []


def scenario(**config: float) -> Callable[[Plan], Plan]:
    """Make a function a kind of run, in a configuration with these fields fixed."""

    def enter(plan: Plan) -> Plan:
        KINDS.append(Scenario(plan.__name__, plan, config))
        return plan

    return enter


def kind_of(seed: int) -> Scenario:
    """The scenario that a seed means."""
    return KINDS[seed % len(KINDS)]


def cluster_of(seed: int, machines: Machines = Machines()) -> Cluster:  # noqa: B008  immutable
    """The cluster of a seed, with everything planned that will happen."""
    kind = kind_of(seed)
    world = World(seed, **kind.config)
    cluster = Cluster(world, machines)
    check = kind.plan(cluster, world.rng)
    if check is not None:
        cluster.checks.append(check)
    return cluster


# -- pieces ------------------------------------------------------------------------------------------------------------


def workers(cluster: Cluster, rng: random.Random, least: int = 1, most: int = 3) -> None:
    """Some workers, at the start."""
    for _ in range(rng.randint(least, most)):
        cluster.add_worker(rng.choice((1, 1, 2, 4)))


def users(cluster: Cluster, rng: random.Random, most: int, habits: Habits, makers: Sequence[Maker]) -> None:
    """Some clients, each with one or two scripts."""
    for _ in range(rng.randint(1, most)):
        client = cluster.add_client()
        for _ in range(rng.choice((1, 1, 2))):
            script = user(random.Random(rng.random()), habits, makers)
            cluster.run_script(client, script, rng.random() * 1e-3)


def sometimes(cluster: Cluster, rng: random.Random, most: int, fault: Callable[[], None]) -> None:
    """A fault that happens once or several times."""
    for _ in range(rng.randint(1, most)):
        cluster.world.clock.after(rng.random() ** 2 * HORIZON, fault)


def kill_one(cluster: Cluster, rng: random.Random, spare: int = 0) -> Callable[[], None]:
    """Some worker dies, unless only so many are left."""

    def kill() -> None:
        if len(cluster.workers) > spare:
            cluster.kill(rng.choice(cluster.workers))

    return kill


# -- without faults ----------------------------------------------------------------------------------------------------


@scenario()
def graphs(cluster: Cluster, rng: random.Random) -> Check:
    """Random graphs, chains and merges; everything is held to the end, so no task begins twice."""
    workers(cluster, rng)
    users(cluster, rng, 2, Habits(actions=40, crowd=30), (leaf,))
    cluster.run_script(cluster.clients[0], rng.choice((chain, merge))(rng.randint(1, 60)))
    return cluster.world.ledger.check_executions


@scenario()
def shared(cluster: Cluster, rng: random.Random) -> None:
    """Clients that want the same few keys, release them and want them again."""

    def common(rng: random.Random, held: Any) -> Call:
        return Call("leaf", (rng.randrange(6), rng.choice((0, 300)), rng.choice((0, 2000))), pick(rng, held, 1))

    workers(cluster, rng)
    users(cluster, rng, 4, Habits(release=6.0, gather=3.0, keep=1.0), (common,))


@scenario()
def one_slot(cluster: Cluster, rng: random.Random) -> None:
    """Nested tasks of all styles on one worker with one slot."""
    cluster.add_worker(1)
    users(cluster, rng, 1, Habits(actions=8, burst=0.0, gather=1.0), CHILDREN)


@scenario()
def forest(cluster: Cluster, rng: random.Random) -> None:
    """Nested tasks of several clients on several workers."""
    workers(cluster, rng, 2, 4)
    users(cluster, rng, 3, Habits(actions=8, burst=0.0, release=2.0), (leaf, *CHILDREN))


@scenario(inline_bytes=100)
def large(cluster: Cluster, rng: random.Random) -> None:
    """Values that stay on workers: fetched by others and by clients, scattered, broadcast."""

    def heavy(rng: random.Random, held: Any) -> Call:
        args = (rng.randrange(50), rng.choice((0, 200)), rng.choice((90, 3000, 30_000)))
        return Call("leaf", args, pick(rng, held, 4))

    workers(cluster, rng, 2, 4)
    users(cluster, rng, 2, Habits(put=3.0, gather=4.0, release=2.0), (heavy, heavy, *CHILDREN[:1]))


@scenario(prefill_seconds=0.005, prefill_unknown=8, prefill_most=64)
def balance(cluster: Cluster, rng: random.Random) -> Check:
    """Short and long tasks: what was sent ahead to a busy worker is asked back for an idle one."""
    for _ in range(rng.randint(2, 4)):
        cluster.add_worker(rng.choice((1, 2)))
    long = rng.choice((0.05, 1.0, 4.0))

    def mixed(rng: random.Random, held: Any) -> Call:
        micros = int(rng.choice((1e-4, 1e-3, long)) * 1e6)
        return Call("leaf", (rng.randrange(10**9), micros, 0))

    users(cluster, rng, 1, Habits(actions=4, submit=0.0, burst=1.0, crowd=40, sleep=1.0, gather=0.0), (mixed,))
    slots = sum(worker.nthreads for worker in cluster.workers)
    return lambda: cluster.world.ledger.check_balance(slots, long)


# -- users who change their minds --------------------------------------------------------------------------------------


@scenario()
def cancelling(cluster: Cluster, rng: random.Random) -> None:
    """Tasks are cancelled and released at any moment, also inside tasks."""

    def abandoner(rng: random.Random, held: Any) -> Call:
        return Call("abandoner", (rng.randrange(1000), rng.randint(1, 4)), pure=False)

    workers(cluster, rng)
    users(cluster, rng, 3, Habits(cancel=4.0, release=3.0, put=1.0), (leaf, leaf, abandoner, *CHILDREN))


@scenario()
def errors(cluster: Cluster, rng: random.Random) -> None:
    """Exceptions, what depends on them, and retries."""

    def trouble(rng: random.Random, held: Any) -> Call:
        inputs = pick(rng, held, 2)
        match rng.randrange(5):
            case 0:
                return Call("boom", (rng.randrange(5), rng.choice((0, 500))), retries=rng.choice((0, 2)))
            case 1:
                retries = rng.randint(0, 3)
                return Call("stumble", (rng.randrange(50), retries), inputs, pure=False, retries=retries)
            case 2:
                return Call("stumble", (rng.randrange(5), 9), inputs, retries=1)
            case 3:
                return Call(rng.choice(("tolerant", "fragile")), (rng.randrange(50),), inputs)
            case _:
                return Call("collect", (rng.randrange(9),), (), inputs)

    workers(cluster, rng)
    users(cluster, rng, 2, Habits(release=2.0, keep=0.5), (leaf, trouble))


@scenario()
def vanishing(cluster: Cluster, rng: random.Random) -> None:
    """Clients are killed or close with futures in hand; what others want too goes on."""
    workers(cluster, rng)
    users(cluster, rng, 4, Habits(release=1.0, keep=1.0, put=1.0), (leaf, leaf, *CHILDREN))

    def leave() -> None:
        if cluster.clients:
            go = rng.choice((cluster.vanish, cluster.close))
            go(rng.choice(cluster.clients))

    sometimes(cluster, rng, 3, leave)


@scenario(allowed_failures=1000)
def links(cluster: Cluster, rng: random.Random) -> Check | None:
    """Chains and diamonds submitted ahead, so that they are sent ahead; with any trouble, or with none."""
    workers(cluster, rng)
    calm = rng.random() < 0.2
    for _ in range(rng.randint(1, 3)):
        client = cluster.add_client()
        for _ in range(rng.randint(1, 3)):
            script = braid(random.Random(rng.random()), 3 + int(120 * rng.random() ** 2), 0.0 if calm else 0.08)
            cluster.run_script(client, script, rng.random() * 0.02)
    if calm:
        return cluster.world.ledger.check_executions
    if rng.random() < 0.5:
        users(cluster, rng, 2, Habits(release=1.0, crowd=40), (leaf, leaf, *CHILDREN[:3]))
    if rng.random() < 0.5:
        cluster.respawns = rng.choice((1e-3, 0.02))
        sometimes(cluster, rng, 6, kill_one(cluster, rng))
    if rng.random() < 0.3:
        sometimes(cluster, rng, 2, lambda: cluster.add_worker(2))
        go = rng.choice((cluster.retire, cluster.see_off))
        sometimes(cluster, rng, 1, lambda: go(rng.choice(cluster.workers)) if cluster.workers else None)
    return None


@scenario()
def broods(cluster: Cluster, rng: random.Random) -> None:
    """Tasks do anything with their children, the same ones on several workers; more workers come when all is begun."""
    workers(cluster, rng, 1, 3)
    users(cluster, rng, 3, Habits(actions=10, release=2.0, keep=0.5), (rambler, rambler, *CHILDREN[:3]))
    if rng.random() < 0.5:
        sometimes(cluster, rng, 2, lambda: cluster.add_worker(rng.choice((1, 2))))


@scenario(allowed_failures=1000)
def orphans(cluster: Cluster, rng: random.Random) -> None:
    """The same, and tasks and users cancel; workers die or leave with the children of their tasks."""
    workers(cluster, rng, 1, 3)
    users(cluster, rng, 3, Habits(actions=10, release=2.0, cancel=1.0), (rambler, rough, *CHILDREN[:3]))
    if rng.random() < 0.7:
        cluster.respawns = rng.choice((1e-3, 0.02))
        sometimes(cluster, rng, 4, kill_one(cluster, rng))
    else:
        sometimes(cluster, rng, 2, lambda: cluster.add_worker(2))
        go = rng.choice((cluster.retire, cluster.see_off))
        sometimes(cluster, rng, 2, lambda: go(cluster.workers[0]) if len(cluster.workers) > 1 else None)


# -- tasks in each other's way -----------------------------------------------------------------------------------------


@scenario(local_tasks=1)
def stuck(cluster: Cluster, rng: random.Random) -> None:
    """Who has the slot of a waiting task waits for a lock that this one holds, or takes long: nobody waits for ever."""
    for _ in range(rng.choice((1, 1, 2))):
        cluster.add_worker(rng.choice((1, 1, 2)))
    users(cluster, rng, 3, Habits(actions=8, burst=0.5, crowd=6), (household, rival, rival))


@scenario(local_tasks=1)
def lasting_ones(cluster: Cluster, rng: random.Random) -> None:
    """Children that run for long are known to all: others that want them wait for them, wherever they run."""
    workers(cluster, rng, 1, 3)
    users(
        cluster, rng, 3, Habits(actions=8, burst=0.0, release=2.0, sleep=5.0, pause=0.05), (lasting, lasting, rambler)
    )
    if rng.random() < 0.5:
        cluster.respawns = rng.choice((1e-3, 0.02))
        for _ in range(rng.randint(1, 2)):
            cluster.world.clock.after(rng.random() * 2.0, kill_one(cluster, rng))


@scenario(allowed_failures=1000)
def hangers_on(cluster: Cluster, rng: random.Random) -> None:
    """Locks, long children, waits of all sorts, and workers that die, come and go while somebody is stuck."""
    workers(cluster, rng, 1, 3)
    users(cluster, rng, 3, Habits(actions=8, release=2.0, cancel=0.5), (household, rival, lasting, rough))
    cluster.respawns = rng.choice((1e-3, 0.02))
    for _ in range(rng.randint(0, 4)):
        cluster.world.clock.after(rng.random() ** 2, kill_one(cluster, rng))
    for _ in range(rng.randint(0, 2)):
        cluster.world.clock.after(rng.random() ** 2, lambda: cluster.add_worker(1))


# -- processes that stop and go on -------------------------------------------------------------------------------------


@scenario()
def silence(cluster: Cluster, rng: random.Random) -> None:
    """Workers are stopped for less or more than they may be silent; their work moves, they come back with theirs."""
    cluster.world.pulses = True
    workers(cluster, rng, 2, 4)
    habits = Habits(actions=20, release=2.0, cancel=0.3, put=1.0, keep=0.5, sleep=4.0, pause=rng.choice((2e-3, 0.5)))
    users(cluster, rng, 2, habits, (leaf, leaf, long_leaf, stumbler, lasting, *CHILDREN))

    def halt() -> None:
        if cluster.workers:
            cluster.halt(rng.choice(cluster.workers), rng.choice((0.5, 2.9, 3.2, 4.0, 8.0)))

    for _ in range(rng.randint(1, 5)):
        cluster.world.clock.after(rng.choice((HORIZON, HORIZON, 12.0)) * rng.random(), halt)
    if rng.random() < 0.3:
        cluster.respawns = rng.choice((1e-3, 0.02))
        cluster.world.clock.after(rng.choice((HORIZON, 6.0)) * rng.random(), kill_one(cluster, rng))
    if rng.random() < 0.3:
        cluster.world.clock.after(6.0 * rng.random(), lambda: cluster.add_worker(rng.choice((1, 2))))


@scenario(inline_bytes=64 << 10, inline_budget=64 << 20, retain_budget=256 << 20)
def left_behind(cluster: Cluster, rng: random.Random) -> Check:
    """Workers that are stopped for a minute: whatever they had, others do it, long before those come back."""
    cluster.world.pulses = True
    workers(cluster, rng, 2, 4)
    users(cluster, rng, 2, Habits(actions=15, release=1.0), (leaf, leaf, stumbler, *CHILDREN[:3], rambler))
    clock, most = cluster.world.clock, rng.randint(1, len(cluster.workers) - 1)
    for worker in rng.sample(cluster.workers, most):
        clock.after(HORIZON * rng.random(), lambda worker=worker: cluster.halt(worker, STOPPED_SECONDS))

    def look() -> None:
        late = [thread.name for thread in cluster.threads if not thread.over]
        assert not late, f"these scripts wait for workers that do not come back: {late}"

    clock.after(STOPPED_SECONDS, look)
    return look


@scenario(worker_ttl=6.0)
def put_out(cluster: Cluster, rng: random.Random) -> None:
    """Workers that are stopped for too long are lost, and end when they go on, if nobody has killed them before."""
    cluster.world.pulses = True
    workers(cluster, rng, 2, 3)
    users(cluster, rng, 2, Habits(actions=20, release=2.0, put=1.0, cancel=0.3), (leaf, leaf, long_leaf, *CHILDREN))
    if rng.random() < 0.5:
        cluster.respawns = rng.choice((1e-3, 0.2))

    def halt() -> None:
        if len(cluster.workers) > 1:
            cluster.halt(rng.choice(cluster.workers), rng.choice((2.0, 5.0, 5.9, 6.1, 7.0, 12.0)))

    for _ in range(rng.randint(1, 4)):
        cluster.world.clock.after(rng.choice((HORIZON, 8.0)) * rng.random(), halt)
    cluster.world.clock.after(10.0, lambda: cluster.add_worker(1))


@scenario()
def absence(cluster: Cluster, rng: random.Random) -> Check:
    """The scheduler, clients, or all at once are stopped for a while: nobody is silent for that, nothing runs twice."""
    cluster.world.pulses = True
    workers(cluster, rng, 1, 3)
    users(cluster, rng, 2, Habits(actions=20, pause=rng.choice((2e-3, 0.5))), (leaf, leaf, long_leaf))

    def away() -> None:
        seconds = rng.choice((0.4, 1.0, 3.5, 20.0))
        who = rng.randrange(3)
        if cluster.is_whole and who == 0:
            cluster.halt(cluster.scheduler, seconds)
        elif cluster.is_whole and who == 1:
            cluster.halt(rng.choice(cluster.clients), seconds)
        elif cluster.is_whole:
            cluster.suspend(seconds)

    for _ in range(rng.randint(1, 4)):
        cluster.world.clock.after(rng.choice((HORIZON, 6.0)) * rng.random(), away)
    return cluster.world.ledger.check_executions


# -- workers that die --------------------------------------------------------------------------------------------------


@scenario()
def deaths(cluster: Cluster, rng: random.Random) -> None:
    """Workers are killed under any kind of work."""
    workers(cluster, rng, 2, 4)
    cluster.respawns = rng.choice((1e-3, 0.02))
    users(cluster, rng, 2, Habits(release=2.0, put=1.0), (leaf, leaf, *CHILDREN))
    sometimes(cluster, rng, 4, kill_one(cluster, rng))


@scenario(allowed_failures=1000)
def lineage(cluster: Cluster, rng: random.Random) -> None:
    """Lost values are computed again from what they were made of; nobody is given up."""

    def link(rng: random.Random, held: Any) -> Call:
        args = (rng.randrange(10**6), rng.choice((0, 300, 2000)), rng.choice((0, 200, 5000)))
        return Call(f"leaf#{rng.randrange(5)}", args, tuple(held[-rng.randint(1, 3) :]))

    workers(cluster, rng, 2, 4)
    cluster.respawns = rng.choice((1e-3, 0.02))
    users(cluster, rng, 2, Habits(actions=50, release=3.0, burst=0.0, gather=1.0), (link,))
    sometimes(cluster, rng, 8, kill_one(cluster, rng))


@scenario()
def murder(cluster: Cluster, rng: random.Random) -> None:
    """Tasks that kill their worker end as `WorkerLost`; innocent ones do not."""

    def killer(rng: random.Random, held: Any) -> Call:
        return Call("die", (rng.randrange(3), rng.choice((0, 500))))

    workers(cluster, rng, 1, 3)
    cluster.respawns = rng.choice((0.0, 5e-3))
    users(cluster, rng, 2, Habits(actions=20, burst=0.2), (leaf, leaf, leaf, killer))


@scenario(allowed_failures=0)
def innocence(cluster: Cluster, rng: random.Random) -> None:
    """Workers die while their tasks only wait, in the queue or for their children: nobody is blamed."""
    workers(cluster, rng, 2, 3)
    cluster.respawns = rng.choice((1e-3, 0.02))
    cluster.scheduler.detection = cluster.scheduler.detection._replace(reads_page=True)
    users(cluster, rng, 2, Habits(actions=10), CHILDREN)
    deaths = rng.randint(1, 4)

    def look() -> None:
        nonlocal deaths
        if not deaths:
            return
        waiting = [worker for worker in cluster.workers if worker.desks and not worker.executing]
        if waiting and rng.random() < 0.3:
            deaths -= 1
            cluster.kill(rng.choice(waiting))
        if cluster.world.clock.now < 5 * HORIZON:
            cluster.world.clock.after(rng.random() * 1e-3, look)

    look()


@scenario(allowed_failures=0)
def retirement(cluster: Cluster, rng: random.Random) -> None:
    """Workers stop as planned and others come: nobody is blamed, nothing is lost."""
    workers(cluster, rng, 2, 3)
    users(cluster, rng, 2, Habits(release=1.0), (leaf, leaf, *CHILDREN))

    def change() -> None:
        cluster.add_worker(rng.choice((1, 2)))
        rng.choice((cluster.retire, cluster.see_off))(rng.choice(cluster.workers))

    sometimes(cluster, rng, 4, change)


@scenario(allowed_failures=0, inline_bytes=100)
def farewell(cluster: Cluster, rng: random.Random) -> Check:
    """Workers retire, and what they hold is taken over by others: nothing is computed twice."""

    def heavy(rng: random.Random, held: Any) -> Call:
        args = (rng.randrange(10**6), rng.choice((0, 300)), rng.choice((0, 90, 3000)))
        return Call("leaf", args, pick(rng, held, 3))

    def change() -> None:
        cluster.add_worker(rng.choice((1, 2)))
        cluster.see_off(rng.choice(cluster.workers))

    workers(cluster, rng, 2, 3)
    users(cluster, rng, 2, Habits(actions=40, put=2.0), (heavy,))
    sometimes(cluster, rng, 4, change)
    return cluster.world.ledger.check_executions


@scenario()
def nobody_there(cluster: Cluster, rng: random.Random) -> None:
    """No worker at first, or none for a while, or given up and then one after all."""
    users(cluster, rng, 3, Habits(put=1.0, release=1.0), (leaf, leaf, *CHILDREN))
    clock = cluster.world.clock
    clock.after(rng.random() * HORIZON, lambda: workers(cluster, rng, 1, 2))
    if rng.random() < 0.6:
        sometimes(cluster, rng, 3, kill_one(cluster, rng))
    if rng.random() < 0.4:
        sometimes(cluster, rng, 2, cluster.give_up)
    clock.after(HORIZON * 2, lambda: cluster.add_worker(2))


@scenario()
def the_end(cluster: Cluster, rng: random.Random) -> None:
    """The scheduler dies: every future ends."""
    workers(cluster, rng)
    users(cluster, rng, 3, Habits(release=1.0, put=1.0), (leaf, leaf, *CHILDREN))
    cluster.world.clock.after(rng.random() * HORIZON, cluster.lose_scheduler)


@scenario(allowed_failures=1000, gather_seconds=5.0)
def heirs(cluster: Cluster, rng: random.Random) -> Check | None:
    """The scheduler dies, once or again and again, and others take its place: nothing that was finished begins twice.

    Or anything happens besides: then every future has its one outcome, all the same.
    """
    cluster.lasting = True
    calm = rng.random() < 0.4
    workers(cluster, rng)
    if calm:
        users(cluster, rng, 2, Habits(actions=40, crowd=30), (leaf,))
    else:
        habits = Habits(release=2.0, put=1.0, cancel=rng.choice((0.0, 0.5)), keep=rng.choice((0.0, 0.5)))
        users(cluster, rng, 3, habits, (leaf, leaf, *CHILDREN))
    sometimes(cluster, rng, 3, lambda: cluster.replace_scheduler(rng.random() * 0.05))
    if calm:
        return cluster.world.ledger.check_executions
    if rng.random() < 0.5:
        cluster.respawns = rng.choice((1e-3, 0.02))
        sometimes(cluster, rng, 3, kill_one(cluster, rng))
    if rng.random() < 0.3:
        sometimes(cluster, rng, 2, lambda: cluster.add_worker(2))
    return None


@scenario(allowed_failures=1000)
def severed(cluster: Cluster, rng: random.Random) -> None:
    """Connections to the scheduler break, and nobody dies: who is cut off comes back, and every future has its end."""
    cluster.lasting = True
    workers(cluster, rng)
    habits = Habits(release=2.0, put=rng.choice((0.0, 1.0)), cancel=rng.choice((0.0, 0.5)))
    users(cluster, rng, 3, habits, (leaf, leaf, *CHILDREN))

    def break_one() -> None:
        nodes = [*cluster.workers, *cluster.clients]
        if nodes:
            cluster.sever(rng.choice(nodes))

    sometimes(cluster, rng, 4, break_one)
    if rng.random() < 0.3:
        cluster.respawns = rng.choice((1e-3, 0.02))
        sometimes(cluster, rng, 2, kill_one(cluster, rng))


@scenario()
def everything(cluster: Cluster, rng: random.Random) -> None:
    """All of it at once, and questions in between; workers that do not read for a while."""

    def curious() -> Any:
        for _ in range(6):
            yield Sleep(rng.random() * 5e-3)
            verb = rng.choice((Verb.INFO, Verb.NTHREADS, Verb.RUN, Verb.WAIT_FOR_WORKERS))
            args = (rng.randint(0, 3),) if verb is Verb.WAIT_FOR_WORKERS else ()
            ok, _ = yield Ask(verb, args, (b"call",) if verb is Verb.RUN else None)
            assert ok
            handle = yield Submit(leaf(rng, ()))
            yield Outcomes((handle,))

    def congest() -> None:
        if cluster.workers:
            name = rng.choice(cluster.workers).name
            cluster.scheduler.congested(name, True)
            cluster.world.clock.after(rng.random() * 0.01, lambda: cluster.scheduler.congested(name, False))

    def relieve() -> None:
        cluster.add_worker(1)  # somebody may wait for as many as there were
        cluster.see_off(rng.choice(cluster.workers))

    workers(cluster, rng, 2, 4)
    cluster.respawns = rng.choice((1e-3, 0.02))
    habits = Habits(release=2.0, cancel=1.0, keep=1.0, put=1.0)
    users(cluster, rng, 3, habits, (leaf, leaf, leaf, *CHILDREN))
    cluster.run_script(cluster.add_client(), curious())
    sometimes(cluster, rng, 3, congest)
    sometimes(cluster, rng, 3, kill_one(cluster, rng))
    sometimes(cluster, rng, 1, relieve)
    sometimes(cluster, rng, 2, lambda: cluster.add_worker(1))
