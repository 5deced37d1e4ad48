"""What a judgement would meet in a policy's rows; ``steward policy check`` warns of it.

Importing what examines takes seconds, so that it is done only where there are rows to open.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from steward.errors import StewardError
from steward.policy import Policy
from steward.settings import Settings

_FROM_MLFLOW = ("runs", "mlflow-artifacts", "models")


def local_file(address: str) -> Path | None:
    """The file that an address names; None where it is in a store."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(address)


def unopened(policies: Iterable[Policy]) -> Iterator[str]:
    """What was not looked into, for it is in a store: each policy's rows, in a sentence."""
    for policy in policies:
        rules = policy.checks.holdout if policy.checks else None
        asked = (rules.uri, rules.reference) if rules else ()
        far = [address for address in asked if address and local_file(address) is None]
        if far:
            yield f"Not looked into: {' and '.join(far)} of policy '{policy.name}'; --open does."


def row_warnings(policy: Policy, settings: Settings, *, opens_stores: bool) -> Iterator[str]:
    """Each in a sentence; of files on this machine, and of stores where they are to be opened."""
    rules = policy.checks.holdout if policy.checks else None
    if rules is None or rules.uri is None or not _is_opened(rules.uri, opens_stores):
        return
    from handlers.rehearsal import foreseen, without_reference
    from steward.clients.datasets import MlflowDatasets

    addresses = [rules.uri]
    if rules.reference is not None and _is_opened(rules.reference, opens_stores):
        addresses.append(rules.reference)
    else:
        policy = without_reference(policy)
    try:
        datasets = MlflowDatasets(_tracking_uri(addresses, settings))
        yield from (f"policy '{policy.name}': {told}" for told in foreseen(datasets, policy))
    except (StewardError, ImportError) as error:  # boto3 comes with the extra s3 alone
        yield f"policy '{policy.name}': its rows cannot be looked at from here: {error}"


def _is_opened(address: str, opens_stores: bool) -> bool:
    path = local_file(address)
    return opens_stores if path is None else path.is_file()


def _tracking_uri(addresses: Iterable[str], settings: Settings) -> str:
    """Where MLflow is, which only rows that it keeps need."""
    from steward.wiring import tracking_uri

    is_needed = any(urlsplit(address).scheme in _FROM_MLFLOW for address in addresses)
    return tracking_uri(settings) if is_needed else settings.mlflow_tracking_uri or ""
