"""Classifiers that do not behave; pickled by name, so that the sandbox imports them from here."""

import time
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression


class Slow(LogisticRegression):
    """Right, and too late."""

    def predict_proba(self, X: Any) -> Any:  # noqa: N803  # scikit-learn's name
        time.sleep(0.015)
        return super().predict_proba(X)


class Moody(LogisticRegression):
    """Right, give or take: it draws a number each time that it is asked."""

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        sure = super().predict_proba(X)[:, 1]
        told = np.clip(sure + np.random.default_rng().normal(0, 0.01, len(sure)), 0, 1)
        return np.column_stack([1 - told, told])
