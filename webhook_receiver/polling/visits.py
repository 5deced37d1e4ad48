"""Visits models: looks at what is known, asks the registry for all of it, records what differs.

One ``Visits`` serves one poll. A model or a version that is no longer listed counts as gone only
after the registry answered 404 for the thing itself.
"""

from collections.abc import Sequence

from steward.errors import NotFoundError, PermanentError
from steward.events import ModelRef
from steward.failpoints import failpoint
from steward.journal.departures import record_gone, record_renamed
from steward.journal.looking import ModelLook, ModelReading, has_news, look, looks
from steward.journal.readings import record_models
from steward.ports import ModelInfo
from webhook_receiver.polling.means import Means

BATCH = 25


class Visits:
    """Whole models, each read at most once a poll.

    ``is_baseline``: the registry is met again after too long, and its differences wake nobody.
    """

    def __init__(self, means: Means, *, is_baseline: bool) -> None:
        self.visited: set[ModelRef] = set()
        self.versions_listed = 0
        self.problems: list[str] = []
        """What the registry refused to tell, though it answers; the poll goes on without it."""
        self._means = means
        self._journal = means.journal
        self._registry = means.registry
        self._is_baseline = is_baseline
        self._unrecorded: list[ModelReading] = []
        self._missing: list[ModelLook] = []

    def visit(
        self, model: ModelRef, *, before: ModelLook | None = None, info: ModelInfo | None = None
    ) -> None:
        """Read one model; ``info`` spares a request where it was read after the look ``before``."""
        if model in self.visited:
            return
        self._means.go_on()
        self.visited.add(model)
        look_ = before or look(self._journal, model)
        try:
            if before is None or info is None:
                info = self._registry.model(model)
            reading = self._read(look_, info)
        except NotFoundError:
            if look_.model_id is not None:
                self._missing.append(look_)
            return
        except PermanentError as error:
            self.problems.append(f"{model}: {error}")
            return
        if has_news(reading):
            self._unrecorded.append(reading)
        if len(self._unrecorded) >= BATCH:
            self.record()

    def record(self) -> None:
        """Record what was read so far; then say what became of models that were not found."""
        if self._unrecorded:
            batch, self._unrecorded = self._unrecorded, []
            hints = record_models(self._journal, batch, is_baseline=self._is_baseline)
            failpoint("poll.after_commit")
            self._means.hint(hints)
        if self._missing:
            missing, self._missing = self._missing, []
            self._settle(missing)

    def renamed(self, before: ModelRef, info: ModelInfo) -> bool:
        """Record that ``before`` goes by the name of ``info`` now, if that is so."""
        look_ = look(self._journal, before)
        if look_.created_at != info.created_at or self._is_there(before, look_):
            return False
        self._means.hint(record_renamed(self._journal, look_, info.model))
        return True

    # -- inside ---------------------------------------------------------------------------------

    def _read(self, look_: ModelLook, info: ModelInfo) -> ModelReading:
        versions = self._registry.versions(info.model)
        self.versions_listed += len(versions)
        listed = {version.version for version in versions}
        is_known = look_.created_at == info.created_at
        absent = [number for number in look_.versions() if is_known and number not in listed]
        gone = frozenset(number for number in absent if self._is_gone(info.model, number))
        if gone:
            self._registry.model(info.model)  # 404: the model went, with all its versions
        champion = None
        if self._means.champion_of and not look_.is_baselined:
            champion = self._means.champion_of(info, versions)
        return ModelReading(look_, info, versions, gone, champion)

    def _is_gone(self, model: ModelRef, number: str) -> bool:
        self._means.go_on()
        try:
            self._registry.version(model, number)
        except NotFoundError:
            return True
        return False

    def _is_there(self, model: ModelRef, look_: ModelLook) -> bool:
        """Whether the registry still has the very model that was looked at under that name."""
        try:
            return self._registry.model(model).created_at == look_.created_at
        except NotFoundError:
            return False
        except PermanentError:
            return True  # it is not said to be gone

    def _settle(self, missing: Sequence[ModelLook]) -> None:
        """A rename moves the model to the top of the registry's list; anything else is deletion."""
        newest = self._registry.models().models
        infos = {info.model: info for info in newest}
        known = {each.model: each for each in looks(self._journal, list(infos), subjects=[""])}
        for look_ in missing:
            self._means.go_on()
            renamed = next(
                (
                    info
                    for model, info in infos.items()
                    if look_.created_at == info.created_at != known[model].created_at
                ),
                None,
            )
            if renamed is None:
                self._means.hint(record_gone(self._journal, look_))
            else:
                self._means.hint(record_renamed(self._journal, look_, renamed.model))
