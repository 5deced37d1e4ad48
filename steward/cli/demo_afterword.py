"""What `steward demo` says at its end: what people were told, and how to look around."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steward.cli.addresses import LOOPBACK
from steward.cli.demo_captures import RECIPIENT, Captures, slack_text
from steward.cli.demo_screen import Screen
from steward.cli.demo_show import ACTS, MODEL
from steward.cli.demo_training import Split
from steward.cli.stack import Plan


@dataclass(frozen=True, slots=True)
class Places:
    """Paths as somebody in the folder where the demo was started would type them."""

    data_dir: Path
    programs: Path

    def program(self, name: str) -> str:
        """A command of our environment."""
        return shlex.quote(str(self.programs / name))


def tell_outcome(screen: Screen, captures: Captures, unexpected: Sequence[str]) -> None:
    """The first notification of each channel, and whether all was as expected."""
    if captures.slack:
        screen.say("\nThe first message to Slack:")
        screen.quote(slack_text(captures.slack[0]))
    if captures.mails:
        mail = captures.mails[0]
        body = mail.get_body(("plain",))
        screen.say(f"\nThe first email, to {RECIPIENT}:")
        screen.quote(f"Subject: {mail['subject']}\n\n{body.get_content() if body else ''}")
    screen.say()
    for problem in unexpected:
        screen.say(f"UNEXPECTED: {problem}")
    if not unexpected:
        screen.say(f"Every outcome was the expected one, for all {len(ACTS)} versions.")


def tell_how_to_look_around(screen: Screen, plan: Plan, split: Split, places: Places) -> None:
    """Addresses, and commands to paste."""
    replica = f"http://{LOOPBACK}:{plan.replicas[0][1]}"
    (plan.data_dir / "request.json").write_bytes(split.request(2))
    request = shlex.quote(str(places.data_dir / "request.json"))
    steward = places.program("steward")
    screen.say(f"""
Look around:
  MLflow     {plan.mlflow_url}/#/models/{MODEL}
  API        {plan.receiver_url}/docs
  Replica    {replica}/model

In another terminal, in this folder:
  export STEWARD_DATA_DIR={shlex.quote(str(places.data_dir))}
  {steward} events list
  {steward} explain {MODEL} 4
  {steward} rollback {MODEL}
  curl -si {replica}/invocations -H 'content-type: application/json' -d @{request}

Register versions of your own:
  export MLFLOW_TRACKING_URI={plan.mlflow_url}
  {places.program("python")} examples/train_and_register.py {MODEL} good

Ctrl-C ends it. To carry on later:
  {steward} up --data-dir {shlex.quote(str(places.data_dir))} --replicas {len(plan.replicas)} \\
    --serve {MODEL}
""")
