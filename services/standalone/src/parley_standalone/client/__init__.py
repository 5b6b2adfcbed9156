"""A client of the GraphQL gateway: what the terminal chat stands on, usable by itself."""

from __future__ import annotations

from parley_standalone.client.account import Account
from parley_standalone.client.answer import Answer, Delta, Event, Finished, Restarted
from parley_standalone.client.api import Api
from parley_standalone.client.chat import ChatClient, Message, Sent

__all__ = ["Account", "Answer", "Api", "ChatClient", "Delta", "Event", "Finished", "Message", "Restarted", "Sent"]
