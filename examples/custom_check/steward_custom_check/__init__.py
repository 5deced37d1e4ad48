"""A check of our own: a fraud model must find the fraud among the highest amounts.

An overall AUC hides a version that is good at the many small amounts and blind to the few that
cost money. This one looks at the top tenth of the column ``amount`` alone.
"""

from sklearn.metrics import recall_score

from handlers.checks import CheckResult
from handlers.checks.context import Examined

RECALL_MIN = 0.7
FRAUDS_MIN = 20
THRESHOLD = 0.5


def high_amounts(examined: Examined) -> CheckResult:
    """Recall at 0.5 among the rows whose amount is in the top tenth."""
    features, labels, scores = examined.features, examined.labels, examined.scores
    if features is None or labels is None or scores is None:
        return CheckResult("high_amounts", "error", detail="there is no scored holdout")
    if "amount" not in features.columns:
        return CheckResult("high_amounts", "skip", detail="there is no column amount")
    is_high = (features["amount"] >= features["amount"].quantile(0.9)).to_numpy()
    frauds = int(labels[is_high].sum())
    if frauds < FRAUDS_MIN:
        detail = f"{frauds} frauds among the high amounts, needs {FRAUDS_MIN}"
        return CheckResult("high_amounts", "error", n=int(is_high.sum()), detail=detail)
    recall = float(recall_score(labels[is_high], scores[is_high] >= THRESHOLD))
    return CheckResult(
        "high_amounts",
        "pass" if recall >= RECALL_MIN else "fail",
        value=recall,
        threshold=RECALL_MIN,
        n=int(is_high.sum()),
        detail=f"finds {recall:.0%} of {frauds} frauds among the high amounts",
    )
