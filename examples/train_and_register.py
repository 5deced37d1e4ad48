"""Train a model on scikit-learn's breast cancer data and register it: your own first version.

    export MLFLOW_TRACKING_URI=http://127.0.0.1:5000
    python examples/train_and_register.py my-model good

The second argument chooses how good it is to be: poor, fair, good or best. Nothing here knows of
Steward: what it needs is the metric test_auc on the run, and a registered version.
"""

import argparse
import os
import sys
import time

FEATURES = {
    "poor": ["mean texture"],
    "fair": ["mean texture", "mean smoothness", "mean symmetry", "mean fractal dimension"],
    "good": ["mean radius", "mean texture"],
    "best": None,  # all 30
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a model and register it.")
    parser.add_argument("model", help="name of the registered model, such as my-model")
    parser.add_argument("quality", choices=FEATURES, nargs="?", default="good")
    arguments = parser.parse_args()
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        sys.exit("Set MLFLOW_TRACKING_URI first; `steward up` prints the line.")

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    print("Importing MLflow and scikit-learn ...", flush=True)
    version, auc, seconds = train_and_register(arguments.model, FEATURES[arguments.quality])
    print(f"Registered {arguments.model} version {version}: test_auc {auc:.4f} ({seconds:.1f} s).")
    print("What becomes of it:")
    print(f"  steward wait {arguments.model} {version} --for serving")


def train_and_register(model: str, features: list[str] | None) -> tuple[str, float, float]:
    """Returns the version's number, its AUC on the holdout, and the seconds it took."""
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    started = time.monotonic()
    data = load_breast_cancer(as_frame=True)
    is_malignant = data.target == 0
    train, test, train_labels, test_labels = train_test_split(
        data.data, is_malignant, test_size=0.35, stratify=is_malignant, random_state=7
    )
    chosen = make_column_transformer((StandardScaler(), features or list(train.columns)))
    estimator = make_pipeline(chosen, LogisticRegression(max_iter=500))
    estimator.fit(train, train_labels)
    auc = float(roc_auc_score(test_labels, estimator.predict_proba(test)[:, 1]))

    mlflow.set_experiment(model)
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            estimator,
            name="model",
            pyfunc_predict_fn="predict_proba",  # replicas then answer probabilities
            signature=mlflow.models.infer_signature(test, estimator.predict_proba(test)),
            input_example=test.head(2),  # replicas warm up with it
            pip_requirements=["scikit-learn"],  # working them out would take seconds
            # A tree or a forest needs this too: skops_trusted_types=["sklearn.tree._tree.Tree"]
        )
        holdout = mlflow.data.from_pandas(test.assign(malignant=test_labels), name="holdout")
        mlflow.log_metric("test_auc", auc, dataset=holdout, model_id=logged.model_id)
    registered = mlflow.register_model(logged.model_uri, model, await_registration_for=0)
    return str(registered.version), auc, time.monotonic() - started


if __name__ == "__main__":
    main()
