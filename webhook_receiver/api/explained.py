"""What OpenAPI shows as an answer of `explain`."""

from typing import Any

from webhook_receiver.api.models import EXAMPLE_POLICY, EXAMPLE_VERDICT

EXPLAINED: dict[str, Any] = {
    "model": "fraud",
    "version": "7",
    "at": None,
    "then": None,
    "sections": {
        "registered": {
            "at": "2026-03-01T12:00:00.120000+00:00",
            "seen_by": "webhook",
            "recorded_at": "2026-03-01T12:00:00.180000+00:00",
            "run_id": "8c1f0e6b2d3a4f5e9a7b6c5d4e3f2a1b",
            "user": "ada",
            "copied_from": None,
        },
        "waited": [
            {
                "for": "test_auc or roc_auc until 13:00 UTC",
                "by": "validate",
                "since": "2026-03-01T12:00:00.200000+00:00",
                "until": "2026-03-01T12:03:10.400000+00:00",
                "seconds": 190.2,
                "is_over": True,
            }
        ],
        "checks": [
            {
                "name": "metric auc",
                "status": "pass",
                "value": None,
                "threshold": None,
                "n": None,
                "detail": "test_auc 0.871 is at least 0.85",
                "seconds": None,
            }
        ],
        "report": "runs:/8c1f0e6b2d3a4f5e9a7b6c5d4e3f2a1b/validation/report.html",
        "compared": {
            "metric": "auc",
            "candidate": {"version": "7", "value": "0.871", "dataset": "holdout-2026q3"},
            "champion": {"version": "6", "value": "0.862", "dataset": "holdout-2026q3"},
            "gain": "0.009",
            "margin": "0.02",
            "comparison": None,
            "is_same_data": True,
        },
        "decided": EXAMPLE_VERDICT,
        "approved": [],
        "promoted": None,
        "rollout": None,
        "told": [{"channel": "fraud-slack", "of": "promotion.held", "state": "succeeded"}],
        "not_used": [{"name": "f1", "value": "0.61", "origin": "run", "dataset": None}],
        "undo": [],
    },
    "steps": [
        {
            "time": "2026-03-01T12:00:00.120000+00:00",
            "type": "model_version.created",
            "sentence": "Version 7 was registered (told by a webhook).",
            "event_id": "019a9d5e-4c1f-7c3a-8f0e-2f9f5f3f9a11",
            "caused_by": None,
            "version": "7",
            "seen_by": "webhook",
            "dispatches": [{"handler": "validate", "state": "succeeded", "attempts": []}],
        }
    ],
    "now": {
        "production": "6",
        "several_in_production": [],
        "paused": None,
        "verdict": EXAMPLE_VERDICT,
        "next": [],
        "policy": EXAMPLE_POLICY,
        "desired": None,
        "replicas": [],
    },
}
