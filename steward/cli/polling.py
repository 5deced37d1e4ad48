"""Runs the poller's process: the polling shim, the sweep, and an eye on the policy file."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from handlers.production import found_in
from steward import health
from steward.broker import Hinter, celery_app
from steward.clients.mlflow_errors import spoken
from steward.errors import TransientError
from steward.journal import notices, policies
from steward.journal.opening import open_journal
from steward.journal.processes import Presence, process_name
from steward.journal.retention import Keep
from steward.journal.store import Journal
from steward.logs import get_logger
from steward.ports import ModelInfo, VersionInfo
from steward.settings import Settings
from steward.wiring import activate_policy, broker_url, registry, tracking_uri
from webhook_receiver.poller import Poller
from workers.sweep import Sweep
from workers.tasks import ROUTING

POLICY_LOOK_SECONDS = 2.0
END_SECONDS = 6.0


def run(settings: Settings, stop: threading.Event) -> None:
    """Poll and sweep until told to stop.

    Raises:
        ConfigurationError: a setting or the policy file is wrong.

    """
    broker = celery_app(broker_url(settings))
    journal = open_journal(settings, ROUTING)
    activate_policy(settings, journal)
    notices.clear(journal, notices.POLICY)
    hinter = Hinter(broker)
    holder = process_name("poller")
    jobs = _jobs(settings, journal, hinter, holder)
    threads = [threading.Thread(target=job, args=(stop,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    health.serve(
        settings.health_port,
        host=settings.host,
        is_ready=lambda: all(thread.is_alive() for thread in threads),
    )
    presence = Presence(journal, name=holder, role="poller")
    presence.start()
    get_logger().info("poller_started", registry=spoken(tracking_uri(settings)))
    stop.wait()
    for thread in threads:
        thread.join(END_SECONDS)
    presence.close()
    hinter.close()
    journal.close()


def _jobs(
    settings: Settings, journal: Journal, hinter: Hinter, holder: str
) -> list[Callable[[threading.Event], None]]:
    sweep = Sweep(
        journal,
        holder=holder,
        hint=hinter.send,
        interval_seconds=settings.sweep_interval_seconds,
        keep=Keep.days(bodies=settings.keep_bodies_days, attempts=settings.keep_attempts_days),
    )
    shim = Poller(
        journal,
        registry(settings),
        hint=hinter.send,
        holder=holder,
        settings=settings,
        champion_of=partial(champion_of, journal),
    )
    jobs: list[Callable[[threading.Event], None]] = [sweep.run, shim.run]
    if settings.policy_file is not None:
        jobs.append(partial(watch_policy, settings.policy_file, settings, journal))
    return jobs


def champion_of(journal: Journal, info: ModelInfo, versions: Sequence[VersionInfo]) -> str | None:
    """Which version is Production by the policy in force; for the baseline."""
    with journal.read() as connection:
        policy_set = policies.active(connection)
    return found_in(info, versions, policy_set.governing(info.model, info.tags)).version


def watch_policy(
    file: Path,
    settings: Settings,
    journal: Journal,
    stop: threading.Event,
    *,
    every_seconds: float = POLICY_LOOK_SECONDS,
) -> None:
    """Put a changed policy file in force; keep the last good one while it is wrong, and say so."""
    log = get_logger()
    seen: tuple[int, int] | None = None  # it may have changed since the process read it
    while not stop.wait(every_seconds):
        now = _stamp(file)
        if now == seen:
            continue
        try:
            _put_in_force(settings, journal)
        except TransientError as error:
            log.warning("policy_not_activated", error=str(error))
            continue  # the journal is away, not the file wrong: look again
        seen = now


def _put_in_force(settings: Settings, journal: Journal) -> None:
    """The file, or a notice of what is wrong with it."""
    try:
        activate_policy(settings, journal)
    except TransientError:
        raise
    except Exception as error:  # noqa: BLE001  # the next version of the file must be seen too
        get_logger().warning("policy_file_refused", error=str(error), kept="the last good policy")
        notices.put(journal, notices.POLICY, "; ".join(str(error).splitlines()))
    else:
        notices.clear(journal, notices.POLICY)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
