"""``steward wait`` on a model that no policy governs says so."""

from steward.journal import dispatches
from steward.ports import Skipped
from tests.cli_support import run
from tests.deliveries import created
from tests.integration.receiver_support import Receiver
from tests.integration.test_cli import here as here_at_a_shell
from tests.integration.test_receiver_api import claim

here = here_at_a_shell


def test_nobody_waits_for_a_verdict_that_no_policy_gives(here: Receiver) -> None:
    here.deliver(created("1"))
    dispatches.record(here.journal, claim(here, "validate"), Skipped("no policy governs fraud"))

    waited = run("wait", "fraud", "1", "--timeout", "5s")

    assert waited.code == 1
    assert "never judged: no policy governs fraud, so nothing of it is judged." in waited.out
