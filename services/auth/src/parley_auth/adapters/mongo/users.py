"""Users in MongoDB: one document each."""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from parley_auth.domain.user import Account, User
from parley_kit.errors import Conflict
from parley_kit.mongo import Document, Mongo, mongo_calls


class MongoUsers:
    def __init__(self, db: Mongo) -> None:
        self._users = db.users

    async def add(self, account: Account) -> None:
        try:
            async with mongo_calls():
                await self._users.insert_one(_from_account(account))
        except DuplicateKeyError:
            if await self.find(account.user.id) is None:
                raise Conflict("the e-mail is taken") from None
            # Else it is this very account: the first answer was lost, and the driver tried again.

    async def find(self, user_id: str) -> User | None:
        async with mongo_calls():
            document = await self._users.find_one({"_id": user_id})
        return None if document is None else _to_user(document)

    async def find_account(self, email: str) -> Account | None:
        async with mongo_calls():
            document = await self._users.find_one({"email": email})
        return None if document is None else Account(_to_user(document), document["password_hash"])

    async def replace_hash(self, user_id: str, old: str, new: str) -> bool:
        expected, change = {"_id": user_id, "password_hash": old}, {"$set": {"password_hash": new}}
        async with mongo_calls():
            return (await self._users.update_one(expected, change)).matched_count == 1


def _from_account(account: Account) -> Document:
    user = account.user
    return {
        "_id": user.id,
        "email": user.email,
        "display_name": user.display_name,
        "password_hash": account.password_hash,
        "created_at": user.created_at,
    }


def _to_user(document: Document) -> User:
    return User(document["_id"], document["email"], document["display_name"], document["created_at"])
