"""`steward up` on a RabbitMQ that runs elsewhere: the same product on the other broker."""

from pathlib import Path

from tests.acceptance.installation import Installation
from tests.rabbit import RabbitServer, require_rabbitmq


def test_the_local_stack_works_on_rabbitmq(tmp_path: Path) -> None:
    require_rabbitmq()
    (tmp_path / "rabbit").mkdir()
    rabbit = RabbitServer(tmp_path / "rabbit")
    house = Installation(
        tmp_path / "data",
        environment={"STEWARD_BROKER_URL": rabbit.start().url, "STEWARD_CANARY_SECONDS": "1"},
    )
    try:
        house.start()
        first, second = house.register("fraud", auc=0.9), house.register("fraud", auc=0.95)

        assert house.verdict("fraud", second)["verdict"] == "promoted"

        house.settle("fraud")
        assert house.in_production("fraud") == [second]
        assert house.events(model="fraud", status="dead") == []
        assert "broker" not in house.up["pids"]
        queues = {row[0]: row[1] for row in rabbit.ask("list_queues", "name", "type")}
        assert queues["steward.default"] == "quorum"
        assert first in house.stages("fraud")
    finally:
        house.clear_up()
        rabbit.stop()
    logs = [each.read_text() for each in (tmp_path / "data" / "logs").iterdir()]
    assert not any("guest:guest@" in log for log in logs)
