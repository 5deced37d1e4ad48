"""Models of which several versions are in the stage that their policy takes for Production.

Called by the API: only one can be Production, and people should see that two are.
"""

import json
from collections.abc import Iterable

from sqlalchemy import Connection, Text, cast, select

from steward.journal import policies
from steward.journal.catalog import KnownModel, order_of
from steward.journal.facets import EXISTS, STAGE
from steward.journal.schema import observed


def crowds(connection: Connection, known: Iterable[KnownModel]) -> dict[int, list[str]]:
    """By a model's id the versions that are in Production together, oldest first; two or more."""
    rules = policies.active(connection)
    stages = {
        model.id: rules.governing(model.model, model.of_kind("tag")).production.stage
        for model in known
    }
    exists = observed.alias()
    query = (
        select(observed.c.model_id, observed.c.subject, observed.c.value)
        .join(
            exists,
            (exists.c.model_id == observed.c.model_id)
            & (exists.c.subject == observed.c.subject)
            & (exists.c.facet == EXISTS)
            & exists.c.value.is_not(None),
        )
        .where(observed.c.model_id.in_(stages), observed.c.facet == STAGE)
        # As JSON is stored, on SQLite and PostgreSQL alike: it has no operator of equality.
        .where(cast(observed.c.value, Text).in_({json.dumps(each) for each in stages.values()}))
    )
    found: dict[int, list[str]] = {}
    for model_id, version, stage in connection.execute(query):
        if stage == stages[model_id]:
            found.setdefault(model_id, []).append(version)
    return {key: sorted(each, key=order_of) for key, each in found.items() if len(each) > 1}
