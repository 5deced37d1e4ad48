"""How often each promotion rule promotes noise, and how often it sees a better version.

Simulated registries: many pairs of champion and candidate, whose true AUC differs by a known
amount, each judged once by three rules:

- plain: AUCs that were logged apart, each on a holdout of its own, differ by 0.02 or more;
- point: the same on one holdout that both versions scored;
- ours: ``point_and_ci`` (docs/comparison.md) on that holdout.

Scores are normal in both classes, those of the two versions correlated by 0.8, as versions of
one model are; the champion's true AUC is 0.85.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from handlers.comparison import compare_auc, conclude

MARGIN = 0.02
CONFIDENCE = 0.95
BASE_AUC = 0.85
CORRELATION = 0.8
TRUE_DIFFERENCES = (0.0, 0.01, 0.02, 0.04)
SIZES = (500, 2_000, 10_000)
PREVALENCES = (0.1, 0.3)
PAIRS = 1_000
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "decision_quality.png"


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of registry: rows of the holdout, share of positives, true difference of AUC."""

    n: int
    prevalence: float
    difference: float


@dataclass(frozen=True, slots=True)
class Shares:
    """Of all pairs in a cell: how many each rule promoted, and how many ours left to a person."""

    plain: float
    point: float
    ours: float
    asked: float


def separation(auc: float) -> float:
    """How far apart the classes' unit normal scores lie for this AUC: AUC = Phi(d / sqrt 2)."""
    return sqrt(2) * NormalDist().inv_cdf(auc)


def scored(cell: Cell, generator: np.random.Generator) -> tuple[Any, Any, Any]:
    """Labels ``(n,)`` and the scores of candidate and champion on one new holdout."""
    labels = np.arange(cell.n) < round(cell.n * cell.prevalence)
    common, first, second = generator.normal(size=(3, cell.n))
    shared, own = sqrt(CORRELATION) * common, sqrt(1 - CORRELATION)
    candidate = shared + own * first + labels * separation(BASE_AUC + cell.difference)
    champion = shared + own * second + labels * separation(BASE_AUC)
    return labels.astype(int), candidate, champion


def judged(cell: Cell, generator: np.random.Generator) -> tuple[bool, bool, str]:
    """One pair: whether plain and point promote it, and what ours says."""
    one = compare_auc(*scored(cell, generator), confidence=CONFIDENCE)
    other = compare_auc(*scored(cell, generator), confidence=CONFIDENCE)
    plain = round(one.candidate - other.champion, 9) >= MARGIN
    point = round(one.delta, 9) >= MARGIN
    return plain, point, conclude(one, MARGIN, CONFIDENCE).ruling


def measured(cell: Cell, pairs: int, seed: int) -> Shares:
    generator = np.random.default_rng([seed, cell.n, round(cell.prevalence * 1000)])
    answers = [judged(cell, generator) for _ in range(pairs)]
    return Shares(
        plain=sum(plain for plain, _, _ in answers) / pairs,
        point=sum(point for _, point, _ in answers) / pairs,
        ours=sum(ruling == "better" for *_, ruling in answers) / pairs,
        asked=sum(ruling == "inconclusive" for *_, ruling in answers) / pairs,
    )


def cells() -> Iterator[Cell]:
    for prevalence in PREVALENCES:
        for n in SIZES:
            for difference in TRUE_DIFFERENCES:
                yield Cell(n, prevalence, difference)


def draw(results: dict[Cell, Shares], picture: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(9, 5), sharex=True, sharey=True)
    kinds = [(prevalence, n) for prevalence in PREVALENCES for n in SIZES]
    for axis, (prevalence, n) in zip(axes.flat, kinds, strict=True):
        shares = [results[Cell(n, prevalence, difference)] for difference in TRUE_DIFFERENCES]
        for rule, line in (("plain", "--"), ("point", ":"), ("ours", "-"), ("asked", "-.")):
            heights = [getattr(share, rule) for share in shares]
            axis.plot(TRUE_DIFFERENCES, heights, line, marker="o", markersize=3, label=rule)
        axis.set_title(f"{n:,} rows, {prevalence:.0%} positive", fontsize=9)
        axis.axvline(MARGIN, color="lightgrey", zorder=0)
    axes[0][0].legend(fontsize=7)
    figure.supxlabel("true difference of AUC", fontsize=9)
    figure.supylabel("share of candidates", fontsize=9)
    figure.tight_layout()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=80)


def main(pairs: int = PAIRS, picture: Path = PICTURE) -> None:
    print(f"Promoted, of {pairs} candidates each; margin {MARGIN}; asked: left to people")
    rules = "".join(f"{rule:>8}" for rule in ("plain", "point", "ours", "asked"))
    print(f"{'rows':>7} {'positive':>8} {'true':>5}{rules}")
    results = {}
    for cell in cells():
        shares = results[cell] = measured(cell, pairs, seed=1)
        print(
            f"{cell.n:>7} {cell.prevalence:>8.0%} {cell.difference:>5.2f} {shares.plain:>7.1%}"
            f" {shares.point:>7.1%} {shares.ours:>7.1%} {shares.asked:>7.1%}",
            flush=True,
        )
    draw(results, picture)
    print(f"Drawn into {picture}.")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
