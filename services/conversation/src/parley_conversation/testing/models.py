"""Announced models."""

from __future__ import annotations

from parley_conversation.ports import Models, ServedModel
from parley_conversation.testing.harness import StoresHarness, after


class ModelsContract(StoresHarness):
    async def test_none_is_announced_at_first(self, models: Models) -> None:
        """An empty store serves nothing."""
        assert await models.served() == []

    async def test_a_model_has_its_newest_heartbeat(self, models: Models) -> None:
        """In whatever order they come in, with the window that it named."""
        await models.announce(ServedModel("llama", 4096, after(1)))
        await models.announce(ServedModel("llama", 8192, after(3)))
        await models.announce(ServedModel("llama", 4096, after(2)))
        assert await models.served() == [ServedModel("llama", 8192, after(3))]
        await models.announce(ServedModel("llama", 4096, after(4)))
        assert await models.served() == [ServedModel("llama", 4096, after(4))]

    async def test_every_model_ever_announced_is_listed(self, models: Models) -> None:
        """Also those that no worker serves any more."""
        for second, name in enumerate(["llama", "qwen", "llama"]):
            await models.announce(ServedModel(name, 2048, after(second)))
        served = sorted(await models.served(), key=lambda model: model.name)
        assert served == [ServedModel("llama", 2048, after(2)), ServedModel("qwen", 2048, after(1))]
