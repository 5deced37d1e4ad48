"""The promotion table: every edge case, and what must hold for any numbers."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.decisions import decide
from handlers.metrics import Ambiguous, Found, Invalid, Lookup, Missing, exact
from handlers.production import Production, found_in
from handlers.rulings import Decision, Facts, Measured
from steward.policy import Policy
from steward.ports import ModelInfo, VersionInfo
from tests.fakes import FixedClock
from tests.unit.world import AUC, MODEL, make_policy

F1 = {"names": ["f1"], "better": "higher"}


def found(value: float, name: str = "test_auc", **more: Any) -> Found:
    return Found(exact(value), name, "run", "run-1", **more)


def measured(version: str, auc: float | Lookup, **others: float | Lookup) -> Measured:
    values = {"auc": auc, **others}
    return Measured(
        version,
        {n: found(v, "f1" if n == "f1" else "test_auc") if isinstance(v, float) else v
         for n, v in values.items()},
    )  # fmt: skip


def judge(
    candidate: Measured,
    champion: Measured | None = None,
    *,
    policy: Policy | None = None,
    **facts: Any,
) -> Decision:
    production = Production(MODEL, champion.version if champion else None)
    return decide(
        policy or make_policy(), candidate, champion, Facts(**{"production": production, **facts})
    )


LOGGED = make_policy(promote={"when": {"metric": "auc", "margin": "0.02", "compare": "logged"}})


def judge_numbers(new: float, old: float, **when: Any) -> Decision:
    policy = make_policy(promote={"when": {"metric": "auc", **(when or {"margin": "0.02"})}})
    return judge(measured("4", new), measured("3", old), policy=policy)


@pytest.mark.parametrize(("new", "old"), [(0.82, 0.80), (0.83, 0.81), (0.87, 0.85), (0.9, 0.88)])
def test_exactly_the_margin_is_enough(new: float, old: float):
    decision = judge_numbers(new, old)

    assert (decision.kind, decision.code) == ("promote", "beats_production")
    assert decision.gain == Decimal("0.02")


def test_a_promotion_tells_number_against_number():
    (reason,) = judge_numbers(0.93, 0.905).reasons

    assert reason == (
        "test_auc 0.93 against Production version 3's 0.905: "
        "better by 0.025, at least the margin of 0.02"
    )


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (0.914, "better by 0.009, less than the margin of 0.02"),
        (0.905, "no difference; the margin of 0.02 is required"),
        (0.9, "worse by 0.005; the margin of 0.02 is required"),
        (0.924999999, "better by 0.019999999, less than the margin of 0.02"),
    ],
)
def test_less_than_the_margin_is_held(new: float, reason: str):
    decision = judge_numbers(new, 0.905)

    assert (decision.kind, decision.code) == ("hold", "below_margin")
    assert decision.reasons[0].endswith(f"Production version 3's 0.905: {reason}")


def test_a_relative_margin_is_a_share_of_production():
    policy = {"margin_relative": "0.02"}

    assert judge_numbers(0.918, 0.9, **policy).kind == "promote"
    held = judge_numbers(0.917, 0.9, **policy)
    assert held.reasons[0].endswith("less than the margin of 0.018 (2% of Production's)")
    assert held.required == Decimal("0.018")


def test_a_relative_margin_of_a_negative_metric_is_still_a_gain():
    assert judge_numbers(-0.5, -0.5, margin_relative="0.1").kind == "hold"


def test_lower_is_better_where_the_policy_says_so():
    policy = make_policy(metrics={"auc": {"names": ["rmse"], "better": "lower"}})

    better = judge(measured("4", 1.0), measured("3", 1.5), policy=policy)
    worse = judge(measured("4", 1.5), measured("3", 1.0), policy=policy)

    assert (better.kind, better.gain) == ("promote", Decimal("0.5"))
    assert (worse.kind, worse.gain) == ("hold", Decimal("-0.5"))


def test_a_champion_measured_under_another_name_is_told_so():
    decision = judge(measured("4", 0.9), measured("3", found(0.85, "roc_auc")))

    assert "against Production version 3's roc_auc 0.85" in decision.reasons[0]


def test_numbers_of_different_data_are_told_as_such():
    new, old = found(0.9, dataset="q3"), found(0.85, dataset="q2")

    decision = judge(measured("4", new), measured("3", old), policy=LOGGED)

    assert decision.reasons[1] == "the two were measured on different data: q3 and q2"


def test_the_same_dataset_with_other_contents_is_told_as_such():
    new = found(0.9, dataset="q3", dataset_digest="a")
    old = found(0.85, dataset="q3", dataset_digest="b")

    decision = judge(measured("4", new), measured("3", old), policy=LOGGED)

    assert decision.reasons[1] == "the two were measured on different contents of dataset q3"


UNKNOWN = {
    "missing": Missing("no test_auc or roc_auc"),
    "ambiguous": Ambiguous("test_auc has 2 different values"),
    "invalid": Invalid("test_auc is not a number"),
}


@pytest.mark.parametrize(
    ("what", "kind", "code"),
    [
        ("missing", "hold", "incomplete"),
        ("ambiguous", "hold", "ambiguous"),
        ("invalid", "reject", "metric_invalid"),
    ],
)
@pytest.mark.parametrize("champion", [None, measured("3", 0.9)])
def test_a_candidate_without_a_number_is_not_promoted(
    what: str, kind: str, code: str, champion: Measured | None
):
    decision = judge(measured("4", UNKNOWN[what]), champion)

    assert (decision.kind, decision.code) == (kind, code)
    assert decision.reasons == (UNKNOWN[what].detail,)  # type: ignore[union-attr]


@pytest.mark.parametrize("what", UNKNOWN)
def test_a_champion_without_a_number_holds(what: str):
    decision = judge(measured("4", 0.99), measured("3", UNKNOWN[what]))

    assert (decision.kind, decision.code) == ("hold", f"champion_metric_{what}")
    assert decision.reasons[0].startswith("Production version 3 cannot be compared with: ")


@pytest.mark.parametrize(
    ("rule", "kind", "code"),
    [("promote", "promote", "no_production"), ("hold", "hold", "first_version")],
)
def test_the_first_version_goes_by_the_policy(rule: str, kind: str, code: str):
    when = {"metric": "auc", "margin": "0.02"}
    policy = make_policy(promote={"when": when, "first_version": rule})

    decision = judge(measured("1", 0.9), policy=policy)

    assert (decision.kind, decision.code) == (kind, code)
    assert "no Production yet" in decision.reasons[0]


def test_without_a_rule_only_the_first_version_is_promoted():
    policy = make_policy(promote={"first_version": "promote"})

    assert judge(measured("1", 0.9), policy=policy).kind == "promote"
    assert judge(measured("4", 0.99), measured("3", 0.9), policy=policy).code == "no_rule"


def test_production_itself_needs_nothing():
    decision = judge(measured("3", 0.9), measured("3", 0.9))

    assert (decision.kind, decision.code) == ("nothing", "already_production")


def test_an_older_version_is_held_however_good():
    decision = judge(measured("9", 0.99), measured("10", 0.8))

    assert (decision.kind, decision.code) == ("hold", "older_than_production")


def test_a_version_that_a_person_rejected_stays_rejected():
    decision = judge(measured("4", 0.99), rejected_by_person=frozenset({"4"}))

    assert (decision.kind, decision.code) == ("reject", "rejected_by_person")


def test_a_version_that_was_rolled_back_from_is_held():
    decision = judge(measured("4", 0.99), measured("3", 0.9), rolled_back_from=frozenset({"4"}))

    assert (decision.kind, decision.code) == ("hold", "rolled_back_from")


def test_an_unclear_production_holds_with_its_reason():
    unclear = Production(MODEL, problem="production_unclear", reason="alias prod names version 2")

    decision = judge(measured("4", 0.99), production=unclear)

    assert (decision.kind, decision.code) == ("hold", "production_unclear")
    assert decision.reasons == ("alias prod names version 2",)


@pytest.mark.parametrize(
    ("new", "old", "code"),
    [
        (0.80, 0.81, "beats_production"),
        (0.79, 0.81, "worse_metric"),
        (UNKNOWN["missing"], 0.81, "incomplete"),
        (UNKNOWN["invalid"], 0.81, "metric_invalid"),
        (0.8, UNKNOWN["missing"], "champion_metric_missing"),
        (0.8, UNKNOWN["ambiguous"], "champion_metric_ambiguous"),
    ],
)
def test_other_metrics_may_lose_only_what_the_policy_allows(
    new: float | Lookup, old: float | Lookup, code: str
):
    policy = make_policy(
        metrics={"auc": AUC, "f1": F1},
        promote={"when": {"metric": "auc", "margin": "0.02"}, "not_worse": {"f1": "0.01"}},
    )

    decision = judge(measured("4", 0.95, f1=new), measured("3", 0.9, f1=old), policy=policy)

    assert decision.code == code
    assert (decision.kind == "promote") == (code == "beats_production")


# --- what Production is --------------------------------------------------------------------------


def production_of(stages: dict[str, str], aliases: dict[str, str], **rule: Any) -> Production:
    now = FixedClock().now()
    versions = [VersionInfo(MODEL, v, now, now, stage) for v, stage in stages.items()]
    policy = make_policy(production=rule or {"stage": "Production", "mirror_alias": "champion"})
    return found_in(ModelInfo(MODEL, now, now, aliases=aliases), versions, policy)


def test_the_version_in_the_stage_is_production():
    found = production_of({"1": "Archived", "2": "Production"}, {"champion": "1"})

    assert (found.version, found.truth, found.mirror) == ("2", ("2",), ("1",))


def test_the_aliased_version_is_production_where_the_alias_is_the_truth():
    found = production_of({"1": "Production", "2": "None"}, {"live": "2"}, alias="live")

    assert (found.version, found.problem) == ("2", "")


def test_a_mirror_stands_in_for_a_truth_that_names_nothing():
    assert production_of({"1": "None"}, {"champion": "1"}).version == "1"


def test_two_in_the_stage_are_a_problem():
    found = production_of({"1": "Production", "2": "Production"}, {"champion": "2"})

    assert (found.version, found.problem) == (None, "two_in_production")
    assert "versions 1 and 2" in found.reason


@pytest.mark.parametrize("alias", ["prod", "Production", "live", "CURRENT"])
def test_an_alias_named_like_production_makes_it_unclear(alias: str):
    found = production_of({"1": "None"}, {alias: "1"})

    assert (found.version, found.problem) == (None, "production_unclear")
    assert f"production: {{alias: {alias}}}" in found.reason


def test_other_aliases_are_no_production():
    found = production_of({"1": "None"}, {"challenger": "1", "previous_champion": "1"})

    assert (found.version, found.problem) == (None, "")


# --- for any numbers -----------------------------------------------------------------------------

values = st.integers(-(10**12), 10**12).map(lambda n: n / 10**9)
margins = st.integers(0, 10**10).map(lambda n: Decimal(n).scaleb(-9))
unknown = st.sampled_from(list(UNKNOWN.values()))


def fraction(value: float) -> Fraction:
    return Fraction(Decimal(str(round(value, 9))))


def with_margin(margin: Decimal, better: str = "higher", key: str = "margin") -> Policy:
    return make_policy(
        metrics={"auc": {"names": ["test_auc"], "better": better}},
        promote={"when": {"metric": "auc", key: margin}},
    )


@given(new=values, old=values, margin=margins)
def test_the_margin_is_exact_and_inclusive(new: float, old: float, margin: Decimal):
    decision = judge(measured("4", new), measured("3", old), policy=with_margin(margin))

    is_enough = fraction(new) - fraction(old) >= Fraction(margin)
    assert (decision.kind == "promote") == is_enough


@given(new=values, old=values, share=st.decimals(0, 2, places=4))
def test_the_relative_margin_is_exact_and_inclusive(new: float, old: float, share: Decimal):
    policy = with_margin(share, key="margin_relative")

    decision = judge(measured("4", new), measured("3", old), policy=policy)

    is_enough = fraction(new) - fraction(old) >= Fraction(share) * abs(fraction(old))
    assert (decision.kind == "promote") == is_enough


@given(new=values, old=values, margin=margins)
def test_the_direction_is_symmetric(new: float, old: float, margin: Decimal):
    higher = judge(measured("4", new), measured("3", old), policy=with_margin(margin))
    lower = judge(measured("4", -new), measured("3", -old), policy=with_margin(margin, "lower"))

    assert (higher.kind, higher.code, higher.gain) == (lower.kind, lower.code, lower.gain)


@given(low=values, high=values, old=values, margin=margins)
def test_a_better_candidate_never_fares_worse(low: float, high: float, old: float, margin: Decimal):
    low, high = sorted((low, high))
    policy = with_margin(margin)

    worse = judge(measured("4", low), measured("3", old), policy=policy)
    better = judge(measured("4", high), measured("3", old), policy=policy)

    assert worse.kind != "promote" or better.kind == "promote"


@given(
    new=values | unknown,
    old=values | unknown | st.none(),
    new_f1=values | unknown,
    old_f1=values | unknown,
    first=st.sampled_from(["promote", "hold"]),
    problem=st.sampled_from(["", "production_unclear", "two_in_production"]),
    rejected=st.booleans(),
    left=st.booleans(),
)
def test_what_is_unknown_never_promotes_and_every_answer_has_a_reason(
    *,
    new: float | Lookup,
    old: float | Lookup | None,
    new_f1: float | Lookup,
    old_f1: float | Lookup,
    first: str,
    problem: str,
    rejected: bool,
    left: bool,
):
    policy = make_policy(
        metrics={"auc": AUC, "f1": F1},
        promote={
            "when": {"metric": "auc", "margin": "0"},
            "not_worse": {"f1": "0"},
            "first_version": first,
        },
    )
    champion = None if old is None else measured("3", old, f1=old_f1)
    production = Production(MODEL, None if champion is None else "3", problem=problem)
    production = replace(production, reason="unclear" if problem else "")

    decision = judge(
        measured("4", new, f1=new_f1),
        champion,
        policy=policy,
        production=production,
        rejected_by_person=frozenset({"4"} if rejected else ()),
        rolled_back_from=frozenset({"4"} if left else ()),
    )

    assert decision.reasons
    assert all(decision.reasons)
    assert decision.code
    if decision.kind == "promote":
        compared = [new] if champion is None else [new, old, new_f1, old_f1]
        assert all(isinstance(value, float) for value in compared)
        assert (problem, rejected, left) == ("", False, False)
