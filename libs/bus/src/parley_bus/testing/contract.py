"""The whole contract. An adapter's test is a subclass with a `bus` fixture and the capabilities it must declare."""

from __future__ import annotations

from parley_bus.testing.groups import GroupsContract
from parley_bus.testing.harness import DeclaredBus
from parley_bus.testing.records import RecordsContract


class BusContract(RecordsContract, GroupsContract):
    async def test_declares_its_capabilities(self, bus: DeclaredBus) -> None:
        """What the adapter declares is what its test file says: nothing disappears silently."""
        assert bus.capabilities == self.capabilities
