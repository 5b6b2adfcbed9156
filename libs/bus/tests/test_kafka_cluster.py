"""What the admin client of aiokafka does when the cluster is not itself."""

from __future__ import annotations

from typing import Any

import pytest

from parley_bus.kafka import KafkaSettings
from parley_bus.kafka.cluster import Cluster
from parley_kit.clock import ManualClock
from parley_kit.errors import Unavailable


class WithoutController:
    """As `make chaos` saw it after a broker was killed."""

    closed = False

    async def create_topics(self, *_arguments: Any, **_options: Any) -> Any:
        controller: Any = None
        return controller.nodeId

    async def close(self) -> None:
        self.closed = True


async def test_a_cluster_without_a_controller_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(KafkaSettings.load(kafka_servers="127.0.0.1:1"), ManualClock())
    admin = WithoutController()
    monkeypatch.setattr(cluster, "_admin", admin)
    with pytest.raises(Unavailable, match="controller"):
        await cluster.ensure(["parley.topic.v1"])
    assert admin.closed
