"""One poll of one registry: visit what changed, ask for late metrics, sweep a slice of the rest."""

from dataclasses import dataclass, replace
from datetime import timedelta

from steward.events import ModelRef
from steward.failpoints import failpoint
from steward.journal import polls
from steward.journal.looking import ModelLook, known_models, looks
from steward.journal.polls import PollState
from steward.logs import get_logger
from webhook_receiver.polling.changes import Listing, differing, list_models, renames
from webhook_receiver.polling.late_metrics import ask_for_late_metrics
from webhook_receiver.polling.means import Means
from webhook_receiver.polling.position import Position, key_of
from webhook_receiver.polling.sweep import VERSIONS_A_POLL, Slices
from webhook_receiver.polling.visits import Visits

START = ("", "")  # before every model


@dataclass(frozen=True, slots=True)
class Completed:
    """What a complete poll read: ``problem`` says what the registry refused to tell."""

    visited: int
    is_baseline: bool
    problem: str | None


def poll(means: Means, slices: Slices, *, overlap: timedelta, too_long: timedelta) -> Completed:
    """Poll once, and keep in the journal how far it came.

    The first poll reads everything; so does one that comes ``too_long`` after the last, and then
    the differences are journalled as late and wake nobody.
    """
    name, log = means.registry.name, get_logger()
    state = polls.state_of(means.journal, name)
    is_late = state.now - (state.completed_at or state.journal_began_at) > too_long
    position = Position() if is_late else Position.from_json(state.position)
    is_baseline = is_late or state.completed_at is None
    if is_baseline:
        log.info("baseline_begins", registry=name, is_late=is_late, last_poll=state.completed_at)
    visits = Visits(means, is_baseline=is_late)
    once = _Once(means, slices, visits, state, overlap)
    position, is_swept = once.read(position)
    asked_to = ask_for_late_metrics(means, position.asked_to, visits.problems)
    problem = "; ".join(visits.problems[:5]) or None
    failpoint("poll.before_position")
    polls.save_completed(
        means.journal,
        name,
        replace(position, asked_to=asked_to).to_json(),
        is_baseline=is_baseline,
        is_swept=is_swept,
        problem=problem,
    )
    if is_baseline:
        log.info("baseline_taken", registry=name, is_late=is_late, models=len(visits.visited))
    return Completed(len(visits.visited), is_baseline, problem)


@dataclass(frozen=True, slots=True)
class _Once:
    means: Means
    slices: Slices
    visits: Visits
    state: PollState
    overlap: timedelta

    def read(self, position: Position) -> tuple[Position, bool]:
        """Visit what changed and a slice of the rest; where to go on, and if a round ended."""
        known = known_models(self.means.journal, self.means.registry.name)
        slice_ = self.slices.following(list(known), position.swept_to)
        before = dict(zip(slice_, looks(self.means.journal, slice_), strict=True))
        begins_round = position.swept_to is None
        floor = position.watermark - self.overlap if position.watermark else None
        listing = list_models(self.means, None if begins_round else floor)
        renamed = {
            info.model
            for model, info in renames(listing.models, known)
            if self.visits.renamed(model, info)
        }
        for model in {info.model for info in listing.models} - known.keys() - renamed:
            before[model] = ModelLook(model, self.state.now)  # of which nothing was known before
        self._visit_changed(listing, position, before)
        is_first = position.watermark is None
        position = listing.advance(position, self.overlap)
        if begins_round and listing.pages > 1:  # it listed every model: enough for one poll
            return replace(position, swept_to=START), is_first
        position = self._sweep(listing, position, slice_, before)
        if not known or (position.swept_to or START) >= key_of(list(known)[-1]):
            return replace(position, swept_to=None), True
        return position, False

    def _visit_changed(
        self, listing: Listing, position: Position, before: dict[ModelRef, ModelLook]
    ) -> None:
        for info in listing.changed_since(position, self.overlap):
            self.visits.visit(info.model, before=before.get(info.model), info=info)
        rest = [info for info in listing.models if info.model not in self.visits.visited]
        for info in differing(self.means.journal, rest):
            self.visits.visit(info.model, before=before.get(info.model), info=info)
        self.visits.record()

    def _sweep(
        self,
        listing: Listing,
        position: Position,
        slice_: list[ModelRef],
        before: dict[ModelRef, ModelLook],
    ) -> Position:
        listed = {info.model: info for info in listing.models}
        already = self.visits.versions_listed
        for model in slice_:
            if self.visits.versions_listed - already >= VERSIONS_A_POLL:
                break
            self.visits.visit(model, before=before[model], info=listed.get(model))
            position = replace(position, swept_to=key_of(model))
        self.visits.record()
        self.slices.spend(self.visits.versions_listed - already)
        return replace(position, swept_to=position.swept_to or START)
