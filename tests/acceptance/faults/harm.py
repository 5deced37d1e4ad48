"""The faults of a storm: each is inflicted on a random part, and ends by itself after a while."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus

import redis

from steward.failpoints import POINTS
from tests.acceptance.faults.oracle import FakeReplica
from tests.acceptance.faults.site import Site
from tests.servers import Answer, CapturedRequest

UNAVAILABLE = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"a fault", {"content-type": "text/plain"})
FAULTS: dict[str, Callable[["Harm"], bool]] = {}


def fault(kind: str) -> Callable[[Callable[["Harm"], bool]], Callable[["Harm"], bool]]:
    """Name a fault; it returns whether it could be inflicted now."""

    def keep(inflict: Callable[["Harm"], bool]) -> Callable[["Harm"], bool]:
        FAULTS[kind] = inflict
        return inflict

    return keep


class Harm:
    """What is broken now, and when each of it ends."""

    def __init__(self, site: Site, draw: random.Random, fleet: Sequence[FakeReplica]) -> None:
        self.site, self.random, self.fleet = site, draw, list(fleet)
        self._ends: list[tuple[float, str, Callable[[], None]]] = []

    def inflict(self, kind: str) -> bool:
        """Do one harm; False where its victim suffers already."""
        return FAULTS[kind](self)

    def until(self, seconds: float, victim: str, end: Callable[[], None]) -> bool:
        """Let a harm that was just done end after so long."""
        self._ends.append((time.monotonic() + seconds, victim, end))
        return True

    def suffers(self, victim: str) -> bool:
        """Whether a harm to this victim lasts."""
        return any(each == victim for _, each, _ in self._ends)

    def a_role(self) -> str | None:
        """A role that runs and that nothing is done to now."""
        well = [
            name
            for name, child in self.site.children.items()
            if child.is_alive() and not self.suffers(name)
        ]
        return self.random.choice(sorted(well)) if well else None

    def end_due(self) -> None:
        """End what has lasted long enough."""
        now = time.monotonic()
        due = [each for each in self._ends if each[0] <= now]
        self._ends = [each for each in self._ends if each[0] > now]
        for _, _, end in due:
            end()

    def end_all(self) -> None:
        """End everything."""
        ends, self._ends = self._ends, []
        for _, _, end in ends:
            end()


@fault("killed process")
def _kill(harm: Harm) -> bool:
    if (role := harm.a_role()) is None:
        return False
    harm.site.kill(role)
    return harm.until(harm.random.uniform(0.1, 2), role, lambda: None)


@fault("stopped process")
def _terminate(harm: Harm) -> bool:
    if (role := harm.a_role()) is None:
        return False
    harm.site.children[role].send(signal.SIGTERM)
    return True


@fault("frozen process")
def _freeze(harm: Harm) -> bool:
    if (role := harm.a_role()) is None:
        return False

    def thaw() -> None:
        with suppress(ProcessLookupError):
            harm.site.thaw(role)

    harm.site.freeze(role)
    return harm.until(harm.random.uniform(0.5, 8), role, thaw)


@fault("crash at a failpoint")
def _arm(harm: Harm) -> bool:
    if (role := harm.a_role()) is None:
        return False
    harm.site.kill(role)
    point = harm.random.choice(sorted(POINTS))
    harm.site.start(role, failpoints=f"{point}=kill@{harm.random.randint(1, 3)}", wait=False)
    return True


@fault("emptied broker")
def _flush(harm: Harm) -> bool:
    with suppress(redis.RedisError), redis.Redis.from_url(harm.site.broker_url) as client:
        client.flushall()
        return True
    return False


@fault("killed broker")
def _kill_broker(harm: Harm) -> bool:
    broker = harm.site.broker
    if broker is None or harm.suffers("broker"):
        return False
    broker.kill()
    return harm.until(harm.random.uniform(0.1, 4), "broker", lambda: broker.start() and None)


@fault("frozen broker")
def _freeze_broker(harm: Harm) -> bool:
    broker = harm.site.broker
    if broker is None or broker.child is None or harm.suffers("broker"):
        return False
    pid = broker.child.pid
    os.kill(pid, signal.SIGSTOP)
    return harm.until(harm.random.uniform(1, 7), "broker", lambda: os.kill(pid, signal.SIGCONT))


@fault("registry answers 503")
def _fail_registry(harm: Harm) -> bool:
    return _misbehave(harm, lambda _: UNAVAILABLE)


@fault("registry's answers lost")
def _lose_answers(harm: Harm) -> bool:
    """What MLflow was asked is done, and the answer never comes."""

    def lose(request: CapturedRequest) -> Answer | None:
        if request.method == "GET":
            return None
        harm.site.witness.carry_out(request)
        return UNAVAILABLE

    return _misbehave(harm, lose)


def _misbehave(harm: Harm, fails: Callable[[CapturedRequest], Answer | None]) -> bool:
    if harm.suffers("registry"):
        return False
    harm.site.witness.fails = fails

    def end() -> None:
        harm.site.witness.fails = lambda _: None

    return harm.until(harm.random.uniform(0.5, 4), "registry", end)


@fault("frozen MLflow")
def _freeze_mlflow(harm: Harm) -> bool:
    child = harm.site.mlflow.child
    if child is None or harm.suffers("mlflow"):
        return False
    os.killpg(child.pid, signal.SIGSTOP)
    return harm.until(
        harm.random.uniform(0.5, 4), "mlflow", lambda: os.killpg(child.pid, signal.SIGCONT)
    )


@fault("Slack refuses")
def _refuse_slack(harm: Harm) -> bool:
    if harm.suffers("slack"):
        return False
    status = harm.random.choice([429, 500, 503])
    harm.site.slack.refuses = lambda: Answer(status, b"no", {"retry-after": "1"})

    def end() -> None:
        harm.site.slack.refuses = lambda: None

    return harm.until(harm.random.uniform(1, 5), "slack", end)


@fault("replica refuses")
def _refuse_replica(harm: Harm) -> bool:
    replica = harm.random.choice(harm.fleet)
    if harm.suffers(replica.id):
        return False
    replica.answers = lambda _call, _order: UNAVAILABLE

    def end() -> None:
        replica.answers = lambda _call, _order: None

    return harm.until(harm.random.uniform(0.5, 4), replica.id, end)


@fault("journal away")
def _take_journal(harm: Harm) -> bool:
    """SQLite: somebody holds the writer's lock. PostgreSQL: killed, and started again."""
    if harm.suffers("journal"):
        return False
    if (database := harm.site.database) is not None:
        database.kill()
        return harm.until(harm.random.uniform(0.1, 4), "journal", lambda: database.start() and None)
    holder = sqlite3.connect(
        harm.site.directory / "data" / "steward.db", isolation_level=None, check_same_thread=False
    )
    try:
        holder.execute("PRAGMA busy_timeout=2000")
        holder.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        holder.close()
        return False

    def end() -> None:
        holder.execute("ROLLBACK")
        holder.close()

    return harm.until(harm.random.uniform(1, 7), "journal", end)
