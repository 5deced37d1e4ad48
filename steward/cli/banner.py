"""What `steward up` prints when all is ready: what runs where, and what to try next."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from steward.cli.addresses import LOOPBACK
from steward.cli.stack import Plan
from steward.clients.mlflow_errors import without_credentials
from steward.policy import PolicySet


def lines(plan: Plan, in_force: PolicySet, webhook: str) -> Iterator[str]:
    """The lines, for people; programs read ``up.json``."""
    data_dir, mlflow = _short(plan.data_dir), without_credentials(plan.mlflow_url)
    modes = sorted({str(policy.mode) for policy in in_force.policies}) or ["observe"]
    yield ""
    yield f"  MLflow       {mlflow}"
    yield f"  Receiver     {plan.receiver_url}   (API: {plan.receiver_url}/docs)"
    for model, port in plan.replicas:
        yield f"  Replica      http://{LOOPBACK}:{port}   serves {model}"
    if not plan.replicas:
        yield "  Replica      none: add --serve MODEL"
    yield f"  Policy       {in_force.file}, mode {', '.join(modes)}"
    yield f"  Webhook      {webhook}"
    yield f"  Admin token  {data_dir}/token      Logs: {data_dir}/logs/"
    yield ""
    yield "In notebooks and training jobs:"
    yield f"  export MLFLOW_TRACKING_URI={mlflow}"
    yield "Try next, in another terminal:"
    yield f"  {_command(plan)} events list"
    yield f"  {_command(plan)} models list"
    yield "Ctrl-C ends it all; the same command carries on where it stopped."


def _command(plan: Plan) -> str:
    """How a shell in this folder speaks to this installation."""
    program = Path(sys.executable).parent / "steward"
    name = "steward" if shutil.which("steward") else _short(program)
    is_default = plan.data_dir == Path(".steward").absolute()
    return name if is_default else f"STEWARD_DATA_DIR={plan.data_dir} {name}"


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
