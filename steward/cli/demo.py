"""``steward demo``: the main job on real data, with an MLflow, replicas and clients of its own."""

import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from steward.cli import demo_training
from steward.cli.addresses import LOOPBACK
from steward.cli.api_client import connect
from steward.cli.demo_afterword import Places, tell_how_to_look_around, tell_outcome
from steward.cli.demo_captures import Captures
from steward.cli.demo_clients import Clients
from steward.cli.demo_home import isolate, make_empty
from steward.cli.demo_reading import Reading
from steward.cli.demo_screen import Screen
from steward.cli.demo_show import ACTS, MODEL, Show, StoppedError
from steward.cli.planning import Wish
from steward.cli.roles import stop_on_signals
from steward.cli.up import LOOK_SECONDS, Stack, running_stack
from steward.settings import load_settings

REPLICAS = 3
POLL_SECONDS = 5
ROWS = 3
INTERRUPTED = 130
_DATA_DIR = typer.Option(help="Where everything is kept; emptied when a demo starts.")
_EXIT = typer.Option("--exit", help="End after the last version instead of staying up.")


def demo(
    data_dir: Annotated[Path, _DATA_DIR] = Path(".steward-demo"),
    *,
    exit_: Annotated[bool, _EXIT] = False,
) -> None:
    """Show the main job on real data: versions are registered, judged, promoted and served.

    It starts everything by itself, also an MLflow of its own, and touches no other one. Exit code:
    0 every outcome was the expected one, 1 one was not (and which), 130 interrupted.
    """
    screen, stop, home = Screen(), stop_on_signals(), data_dir.absolute()
    places = Places(_relative(home), _relative(Path(sys.executable).parent))
    make_empty(home)
    if ignored := isolate(home):
        screen.say(f"Ignored, because the demo uses nothing but its own: {', '.join(ignored)}")
    screen.say(f"Everything is kept in {places.data_dir}, which each demo empties at its start.")
    models = _Models()
    models.start()  # while the servers start
    captures = Captures()
    with ExitStack() as exits:
        exits.enter_context(captures.running())
        with screen.phase(f"Starting MLflow, Steward and {REPLICAS} replicas (10 to 40 s)"):
            settings = load_settings(data_dir=home)
            stack = exits.enter_context(
                running_stack(_wish(home, captures), settings, say=screen.say, stop=stop)
            )
        performance = _Performance(stack, models, screen, captures)
        performance.start()
        while performance.is_alive():
            if stop.wait(LOOK_SECONDS):
                raise typer.Exit(INTERRUPTED)
            stack.supervisor.look()
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
        tell_outcome(screen, captures, performance.unexpected)
        if not exit_:
            tell_how_to_look_around(screen, stack.plan, models.get().split, places)
            stack.watch()
    if performance.unexpected:
        raise typer.Exit(1)


def _wish(home: Path, captures: Captures) -> Wish:
    return Wish(
        data_dir=home,
        replicas=REPLICAS,
        serve=(MODEL,),
        environment={
            **captures.environment,
            "STEWARD_POLL_INTERVAL_SECONDS": str(POLL_SECONDS),
        },
        own_mlflow=True,
    )


class _Models(threading.Thread):
    """Imports and fits beside the start of the servers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._made: demo_training.Models | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._made = demo_training.prepare(act.recipe for act in ACTS)
        except Exception as error:  # noqa: BLE001  # raised again by whoever needs the models
            self._error = error

    def get(self) -> demo_training.Models:
        """The models, when they are made."""
        self.join()
        if self._made is None:
            raise RuntimeError("the models could not be made") from self._error
        return self._made


class _Performance(threading.Thread):
    """The show, in a thread: the main one looks after the processes and hears Ctrl-C."""

    def __init__(self, stack: Stack, models: _Models, screen: Screen, captures: Captures) -> None:
        super().__init__(daemon=True)
        self.unexpected: list[str] = []
        self._stack = stack
        self._models = models
        self._screen = screen
        self._captures = captures

    def run(self) -> None:
        try:
            self._perform()
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, it was not expected
            self.unexpected.append(f"{type(error).__name__}: {error}")

    def _perform(self) -> None:
        plan = self._stack.plan
        with self._screen.phase("Fitting the models"):
            models = self._models.get()
        replicas = [f"http://{LOOPBACK}:{port}" for _, port in plan.replicas]
        clients = Clients(replicas, models.split.request(ROWS), ROWS)
        laboratory = demo_training.Laboratory(plan.mlflow_url, MODEL, models.split)
        self._screen.say()
        with connect(None) as api:
            show = Show(
                Reading(api, MODEL, replicas), self._screen, self._captures, self._stack.stop
            )
            try:
                show.perform(laboratory, models, clients)
            finally:
                self.unexpected += show.unexpected


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
