"""Every method of every service says who may call it: by token, and by certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from parley_auth.entrypoints import grpc as auth
from parley_conversation import bootstrap as conversation
from parley_kit import tls
from parley_proto.auth.v1 import auth_pb2
from parley_proto.conversation.v1 import conversation_pb2, worker_pb2

SERVICES = {
    "auth": (auth_pb2.DESCRIPTOR.services_by_name["AuthService"], auth.ACCESS, auth.CALLERS),
    "conversation": (
        conversation_pb2.DESCRIPTOR.services_by_name["ConversationService"],
        conversation.ACCESS,
        conversation.CALLERS,
    ),
    "worker": (worker_pb2.DESCRIPTOR.services_by_name["WorkerService"], conversation.ACCESS, conversation.CALLERS),
}


@pytest.mark.parametrize(("service", "access", "callers"), SERVICES.values(), ids=SERVICES)
def test_every_method_is_listed(
    service: ServiceDescriptor, access: Mapping[str, Any], callers: Mapping[str, Any]
) -> None:
    path = f"/{service.full_name}"
    methods = {f"{path}/{method.name}" for method in service.methods}
    assert methods
    for listed in (access, callers):
        assert path in listed or methods <= listed.keys()


def test_only_workers_speak_for_workers() -> None:
    assert conversation.CALLERS[conversation.WORKER_SERVICE] == {tls.WORKER}
    assert all(tls.WORKER not in names for names in auth.CALLERS.values())
