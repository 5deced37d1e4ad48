"""A registry that changes while webhooks and pollers run, for the property tests of observed state.

Steps are plain tuples. A poll takes further steps in between its own requests to the registry, so
any interleaving of look, question, answer and record with changes, deliveries and another poller
can come about.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from steward.errors import StewardError
from steward.events import ModelRef
from steward.journal import deliveries
from steward.journal.deliveries import Delivery, News
from steward.journal.looking import known_models, look
from steward.journal.store import Journal
from steward.settings import Settings
from tests.fakes import FakeRegistry, FixedClock
from tests.unit.journal_support import events_in
from webhook_receiver.poller import Poller

NAMES = ("a", "b")
_name = st.sampled_from(("a", "a", "b"))  # few names and values, so that changes meet
_number = st.sampled_from(("1", "2"))
_key = st.just("x")
_value = st.sampled_from(("p", "q"))
FIRST: list[tuple[str, ...]] = [
    ("create", "a", "p"),
    ("create", "a", "q"),
    ("alias", "a", "x", "1"),
]
"""What most worlds begin with: a change needs something to change."""

EVERYDAY = st.one_of(
    st.tuples(st.just("create"), _name, _value),
    st.tuples(st.just("alias"), _name, _key, _number),
    st.tuples(st.just("stage"), _name, _number, st.sampled_from(("Production", "Archived"))),
    st.tuples(st.just("describe"), _name, _number, _value),
    st.tuples(st.just("tag"), _name, _number, _key, _value),
    st.tuples(st.just("untag"), _name, _number, _key),
    st.tuples(st.just("alias"), _name, _key, _number),
    st.tuples(st.just("unalias"), _name, _key),
    st.tuples(st.just("delete_version"), _name, _number),
)
RARE = st.one_of(
    st.tuples(st.just("delete_model"), _name), st.tuples(st.just("rename"), _name, _name)
)
POLLS = st.tuples(
    st.just("poll"),
    st.integers(0, 1),
    st.lists(st.sampled_from((0, 1, 1, 2)), max_size=8).map(tuple),
)
POST = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 5)),
    st.tuples(st.just("drop"), st.integers(0, 5)),
    st.tuples(st.just("repeat"), st.integers(0, 5)),
)
Step = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that a webhook tells: its type, what it is about, and the value then."""

    type: str
    model: str
    version: str | None
    facet: str
    value: Any


class BusyRegistry(FakeRegistry):
    """While a poll asks, the world goes on: ``between`` is called before and after each answer."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        self.between: Any = lambda: None

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("model", "version", "versions", "models"):
            return found

        def asked(*args: Any, **more: Any) -> Any:
            self.between()
            try:
                return found(*args, **more)
            finally:
                self.between()

        return asked


class World:
    """The registry, the post that carries its webhooks, the journal, and two pollers."""

    def __init__(self, journal: Journal, clock: FixedClock, *, is_prompt: bool) -> None:
        self.journal, self.clock, self.is_prompt = journal, clock, is_prompt
        self.registry = BusyRegistry(clock)
        self.post: list[Delivery] = []
        self.delivered: list[Delivery] = []
        self.changes: Counter[Change] = Counter()
        self.steps: deque[Step] = deque()
        settings = Settings(poll_interval_seconds=10, _env_file=None)
        self.pollers = [
            # One holder's name: as if a lease had ended while its poll went on.
            Poller(
                journal,
                self.registry,
                hint=lambda _: None,
                holder="the same",
                settings=settings,
                smallest_slice=slice_,
            )
            for slice_ in (1, 20)
        ]
        self._polling = 0
        self._sent = 0

    def run(self, steps: list[Step]) -> None:
        self.steps.extend(steps)
        while self.steps:
            self._step(self.steps.popleft())

    def settle(self) -> None:
        """Quiet polls, until the smallest slices have been round."""
        for _ in range(2 * len(NAMES) + 4):
            self.clock.advance(60)
            assert self.pollers[0].poll_once().outcome == "completed"

    # -- what is to be compared -------------------------------------------------------------------

    def actual(self) -> dict[str, dict[tuple[str, str], Any]]:
        """Every facet that the registry has now."""
        found: dict[str, dict[tuple[str, str], Any]] = {}
        for info in self.registry.models().models:
            facets: dict[tuple[str, str], Any] = {
                ("", f"alias:{alias}"): version for alias, version in info.aliases.items()
            }
            for version in self.registry.versions(info.model):
                number = version.version
                facets[number, "exists"] = True
                facets[number, "stage"] = version.stage
                facets[number, "description"] = version.description or None
                facets |= {(number, f"tag:{key}"): v for key, v in version.tags.items()}
            found[info.model.name] = {key: v for key, v in facets.items() if v is not None}
        return found

    def observed(self) -> dict[str, dict[tuple[str, str], Any]]:
        """Every facet that the journal knows to be there, of versions that exist."""
        found = {}
        for ref in known_models(self.journal, "default"):
            look_ = look(self.journal, ref)
            there = {"", *look_.versions()}
            found[ref.name] = {
                key: value
                for key, (_, value) in look_.known.items()
                if key[0] in there and value is not None and key != ("", "exists")
            }
        return found

    def told(self) -> Counter[Change]:
        """What events say of the kinds of change that webhooks tell."""
        return Counter(
            Change(
                event.type,
                event.model.name,
                event.version if "alias" not in event.type else None,
                str(event.data.get("key") or event.data.get("alias") or ""),
                event.after,
            )
            for event in events_in(self.journal)
            if event.model and event.type.startswith("model_version")
        )

    # -- steps ------------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        self.clock.advance(1)
        name, *rest = step
        getattr(self, f"_{name}")(*rest)

    def _poll(self, which: int, pace: tuple[int, ...]) -> None:
        if self._polling > 1:
            return
        self._polling += 1
        outer, paces = self.registry.between, deque(pace)

        def between() -> None:
            self.registry.between = lambda: None  # what people do asks no more questions
            for _ in range(paces.popleft() if paces else 0):
                if self.steps:
                    self._step(self.steps.popleft())
            self.registry.between = between

        self.registry.between = between
        self.pollers[which].poll_once()
        self.registry.between = outer
        self._polling -= 1

    def _create(self, name: str, description: str) -> None:
        ref = ModelRef(name)
        if ref not in self._refs():
            self.registry.create_model(name)
            self._tell("registered_model.created", ref, None, "exists", True)
        version = self.registry.create_version(name, description=description, tags={"x": "p"})
        came = {"tags": dict(version.tags), "description": description}
        self._tell("model_version.created", ref, version.version, "exists", True, **came)

    def _stage(self, name: str, number: str, stage: str) -> None:
        self._try(self.registry.set_stage, ModelRef(name), number, stage, archive_existing=False)

    def _describe(self, name: str, number: str, text: str) -> None:
        self._try(self.registry.describe, ModelRef(name), number, text)

    def _tag(self, name: str, number: str, key: str, value: str) -> None:
        if self._try(self.registry.set_version_tag, ModelRef(name), number, key, value):
            facet = f"tag:{key}"
            self._tell("model_version_tag.set", ModelRef(name), number, facet, value)

    def _untag(self, name: str, number: str, key: str) -> None:
        if self._try(self.registry.delete_version_tag, ModelRef(name), number, key):
            facet = f"tag:{key}"
            self._tell("model_version_tag.deleted", ModelRef(name), number, facet, None)

    def _alias(self, name: str, alias: str, number: str) -> None:
        if self._try(self.registry.set_alias, ModelRef(name), alias, number):
            facet = f"alias:{alias}"
            self._tell("model_version_alias.created", ModelRef(name), number, facet, number)

    def _unalias(self, name: str, alias: str) -> None:
        if self._try(self.registry.delete_alias, ModelRef(name), alias):
            facet = f"alias:{alias}"
            self._tell("model_version_alias.deleted", ModelRef(name), None, facet, None)

    def _delete_version(self, name: str, number: str) -> None:
        self._try(self.registry.delete_version, ModelRef(name), number)

    def _delete_model(self, name: str) -> None:
        self._try(self.registry.delete_model, ModelRef(name))

    def _rename(self, name: str, other: str) -> None:
        if ModelRef(other) not in self._refs():
            self._try(self.registry.rename_model, ModelRef(name), other)

    def _deliver(self, index: int) -> None:
        if self.post:
            delivery = self.post.pop(index % len(self.post))
            self.delivered.append(delivery)
            deliveries.record(self.journal, [delivery])

    def _drop(self, index: int) -> None:
        if self.post:
            self.post.pop(index % len(self.post))

    def _repeat(self, index: int) -> None:
        if self.delivered:
            delivery = self.delivered[index % len(self.delivered)]
            deliveries.record(self.journal, [delivery])

    # -- inside -----------------------------------------------------------------------------------

    def _try(self, change: Any, *args: Any, **more: Any) -> bool:
        """Make a change; the registry may refuse it."""
        try:
            change(*args, **more)
        except StewardError:
            return False
        return True

    def _refs(self) -> set[ModelRef]:
        kept, self.registry.between = self.registry.between, lambda: None
        found = {info.model for info in self.registry.models().models}
        self.registry.between = kept
        return found

    def _tell(
        self,
        type: str,  # noqa: A002
        ref: ModelRef,
        number: str | None,
        facet: str,
        value: Any,
        **came: Any,
    ) -> None:
        """MLflow sends a webhook, for no-ops too."""
        key = facet.partition(":")[2]
        is_alias = facet.startswith("alias:")
        subject = "" if is_alias else number or ""
        self.changes[Change(type, ref.name, None if is_alias else number, key, value)] += 1
        news = News(
            type,
            "mlflow/default",
            ref,
            number,
            subject,
            facet,
            value,
            data={"key": key} if key else {},
            **came,
        )
        self._sent += 1
        self.post.append(Delivery("mlflow", str(self._sent), b"{}", self.clock.now(), news))
        if self.is_prompt:
            self._deliver(0)
