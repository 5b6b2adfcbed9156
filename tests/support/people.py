"""A user of the platform, as the tests play one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from support.graphql import Http, Json, events, text_of

PASSWORD = "correct horse battery"

SESSION = "{ accessToken refreshToken expiresIn user { id email displayName createdAt } }"
SIGN_UP = f"mutation ($input: SignUpInput!) {{ session: signUp(input: $input) {SESSION} }}"
SIGN_IN = f"mutation ($input: SignInInput!) {{ session: signIn(input: $input) {SESSION} }}"
REFRESH = f"mutation ($token: String!) {{ session: refreshSession(refreshToken: $token) {SESSION} }}"
SIGN_OUT = "mutation ($token: String!) { signOut(refreshToken: $token) }"
ME = "{ me { id email displayName } }"

CONVERSATION = "{ id title model systemPrompt archived createdAt updatedAt }"
CREATE = (
    f"mutation ($input: CreateConversationInput!) {{ conversation: createConversation(input: $input) {CONVERSATION} }}"
)
UPDATE = (
    f"mutation ($input: UpdateConversationInput!) {{ conversation: updateConversation(input: $input) {CONVERSATION} }}"
)
DELETE = "mutation ($id: ID!) { deleteConversation(id: $id) }"
GET = f"query ($id: ID!) {{ conversation(id: $id) {CONVERSATION} }}"
LIST = """
query ($first: Int, $after: String, $archived: Boolean, $search: String) {
  conversations(first: $first, after: $after, archived: $archived, search: $search) {
    edges { cursor node { id title archived } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
MESSAGE = "{ id role content parentId siblingIds createdAt generation { id state attempt } }"
MESSAGES = f"""
query ($id: ID!, $last: Int, $before: String, $leaf: ID) {{
  conversation(id: $id) {{
    messages(last: $last, before: $before, leaf: $leaf) {{
      edges {{ cursor node {MESSAGE} }}
      pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
    }}
  }}
}}
"""
GENERATION = "{ id state attempt model createdAt finishedAt finishReason usage { promptTokens completionTokens } }"
SENT = f"{{ userMessage {{ id content parentId siblingIds }} generation {GENERATION} }}"
SEND = f"mutation ($input: SendMessageInput!) {{ sent: sendMessage(input: $input) {SENT} }}"
REGENERATE = f"mutation ($input: RegenerateInput!) {{ sent: regenerate(input: $input) {SENT} }}"
STOP = f"mutation ($id: ID!) {{ generation: stopGeneration(id: $id) {GENERATION} }}"
GET_GENERATION = f"query ($id: ID!) {{ generation(id: $id) {GENERATION} }}"
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"


def new_email() -> str:
    return f"{uuid.uuid4().hex}@example.org"


@dataclass
class Person:
    """A signed-in user. Every method is an operation that must succeed."""

    http: Http
    email: str
    token: str
    refresh_token: str
    id: str

    async def data(self, document: str, **variables: Any) -> Json:
        return await self.http.data(document, variables, self.token)

    async def code(self, document: str, **variables: Any) -> str:
        return await self.http.code(document, variables, self.token)

    async def create(self, **fields: Any) -> str:
        return str((await self.data(CREATE, input=fields))["conversation"]["id"])

    async def send(self, conversation_id: str, content: str, **fields: Any) -> Json:
        sent: Json = await self.data(SEND, input={"conversationId": conversation_id, "content": content, **fields})
        return dict(sent["sent"])

    async def answer(self, generation_id: str, transport: str = "ws") -> str:
        """Read an answer to its end."""
        seen = [event async for event in events(transport, self.http.url, self.token, generation_id)]
        return text_of(seen)

    async def ask(self, conversation_id: str, content: str, **fields: Any) -> tuple[Json, str]:
        """Send and read the answer."""
        sent = await self.send(conversation_id, content, **fields)
        return sent, await self.answer(sent["generation"]["id"])

    async def messages(self, conversation_id: str, **arguments: Any) -> list[Json]:
        data = await self.data(MESSAGES, id=conversation_id, **arguments)
        return [edge["node"] for edge in data["conversation"]["messages"]["edges"]]

    async def generation(self, generation_id: str) -> Json:
        return dict((await self.data(GET_GENERATION, id=generation_id))["generation"])


async def sign_up(http: Http, email: str | None = None) -> Person:
    """A new user."""
    email = email or new_email()
    details = {"email": email, "password": PASSWORD, "displayName": "Ada"}
    return person_of(http, (await http.data(SIGN_UP, {"input": details}))["session"])


def person_of(http: Http, session: Json) -> Person:
    user = session["user"]
    return Person(http, user["email"], session["accessToken"], session["refreshToken"], user["id"])


def scripted(tokens: int) -> str:
    """What the scripted backend answers."""
    return "".join(f"w{number} " for number in range(tokens))
