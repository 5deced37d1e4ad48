"""What the sandbox adds to loading a model and scoring with it, once its runner is warm.

The same two models and rows in this process and in the sandbox, in turns, so that both meet the
same neighbours. Read the ratio of the medians, and the overhead in seconds.
"""

import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

ROUNDS = 15
ROWS = 2_000
WARM_OVERHEAD_GOAL_SECONDS = 1.0


def main() -> None:
    from steward.clients.sandbox.client import ProcessSandbox
    from steward.ports import ModelFiles, SandboxLimits

    warnings.simplefilter("ignore")
    rows, models = _models()
    sandbox = ProcessSandbox()
    began = time.perf_counter()
    sandbox.warm()
    print(f"sandbox: level {sandbox.level}, warm after {time.perf_counter() - began:.1f} s (once)")
    print(f"| model | in process s | sandbox s | overhead s (median of {ROUNDS}) | worst s |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        for name, model, stored_as in models:
            files = _save(Path(directory) / f"{name}-{stored_as}", model, stored_as)
            inside, here = [], []
            _in_process(files, rows)
            for _ in range(ROUNDS):
                here.append(_in_process(files, rows))
                began = time.perf_counter()
                with sandbox.open(ModelFiles(files, "", 0), SandboxLimits()) as opened:
                    opened.predict(rows)
                inside.append(time.perf_counter() - began)
            added = sorted(a - b for a, b in zip(inside, here, strict=True))
            overhead = statistics.median(added)
            print(
                f"| {name}, {stored_as} | {statistics.median(here):.3f} "
                f"| {statistics.median(inside):.3f} | {overhead:.3f} | {added[-1]:.3f} |"
            )
            assert overhead < WARM_OVERHEAD_GOAL_SECONDS, "over the goal of 1 s once warm"
    sandbox.close()


def _models() -> tuple[Any, list[tuple[str, Any, str]]]:
    import pandas as pd
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    values, labels = make_classification(ROWS, 20, random_state=0)
    rows = pd.DataFrame(values, columns=[f"f{i}" for i in range(20)])
    forest = RandomForestClassifier(100, random_state=0).fit(rows, labels)
    logistic = LogisticRegression().fit(rows, labels)
    formats = ("skops", "cloudpickle")
    return rows, [(type(m).__name__, m, f) for m in (logistic, forest) for f in formats]


def _save(path: Path, model: Any, stored_as: str) -> Path:
    import mlflow.sklearn

    extra = {"skops_trusted_types": ["sklearn.tree._tree.Tree"]} if stored_as == "skops" else {}
    mlflow.sklearn.save_model(
        model, path, serialization_format=stored_as, pip_requirements=["scikit-learn"], **extra
    )
    return path


def _in_process(files: Path, rows: Any) -> float:
    import mlflow.sklearn

    began = time.perf_counter()
    mlflow.sklearn.load_model(str(files)).predict_proba(rows)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
