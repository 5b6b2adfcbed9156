"""The contracts of the ports. An adapter's test is a subclass of each, with the fixture of `StoresHarness`."""

from __future__ import annotations

from parley_conversation.testing.chat_log import BranchesContract, LogContract
from parley_conversation.testing.conversations import ConversationLifeContract, ListingContract
from parley_conversation.testing.endings import EndingsContract
from parley_conversation.testing.generations import DocumentsContract
from parley_conversation.testing.leases import LeasesContract
from parley_conversation.testing.models import ModelsContract
from parley_conversation.testing.search import SearchContract
from parley_conversation.testing.sweeping import SweepingContract

__all__ = ["ChatLogContract", "ConversationsContract", "GenerationsContract", "ModelsContract"]


class ConversationsContract(ConversationLifeContract, ListingContract, SearchContract):
    """What conversations promise."""


class GenerationsContract(DocumentsContract, LeasesContract, EndingsContract, SweepingContract):
    """What generations promise."""


class ChatLogContract(LogContract, BranchesContract):
    """What the chat log promises."""
