"""The settings of the auth service."""

from __future__ import annotations

from pydantic import Field, SecretStr

from parley_auth.throttle import AttemptsPerMinute
from parley_kit.tls import TlsSettings

DEVELOPMENT = AttemptsPerMinute(
    sign_ups_of_address=200, sign_ins_of_address=1000, sign_ins_of_account=600, refreshes_of_session=600
)
PRODUCTION = AttemptsPerMinute(
    sign_ups_of_address=10, sign_ins_of_address=60, sign_ins_of_account=10, refreshes_of_session=60
)


class AuthSettings(TlsSettings):
    """Limits that are left out follow PARLEY_ENV: development leaves room for tests from one address.

    So does the cost of a password's hash. It goes up at the first sign-in in production.
    """

    auth_host: str = Field("127.0.0.1", description="the address auth's gRPC server listens on")
    auth_port: int = Field(0, ge=0, le=65535, description="the port of auth's gRPC server; 0: a free one")
    mongo_url: SecretStr | None = Field(
        None, description="where users and sessions are kept: a MongoDB URL; left out: SQLite in the data folder"
    )
    auth_database: str = Field("parley_auth", pattern=r"^[A-Za-z0-9_-]{1,60}$", description="auth's MongoDB database")
    auth_signing_key: SecretStr | None = Field(
        None, description="P-256 private key in PEM that signs access tokens; required in production"
    )
    auth_previous_keys: SecretStr = Field(
        SecretStr(""), description="P-256 keys in PEM that signed before, kept to verify; only with a signing key"
    )
    auth_hash_threads: int = Field(2, ge=1, le=64, description="passwords hashed at once")
    auth_hash_queue: int | None = Field(
        None, ge=0, description="passwords that may wait to be hashed (development 128, production 32)"
    )
    auth_sign_ups_per_address: int | None = Field(
        None, ge=1, description="sign-ups a minute from one address (development 200, production 10)"
    )
    auth_sign_ins_per_address: int | None = Field(
        None, ge=1, description="sign-ins a minute from one address (development 1000, production 60)"
    )
    auth_sign_ins_per_account: int | None = Field(
        None, ge=1, description="sign-ins a minute for one e-mail (development 600, production 10)"
    )
    auth_refreshes_per_session: int | None = Field(
        None, ge=1, description="refreshes a minute of one session (development 600, production 60)"
    )

    @property
    def hash_queue(self) -> int:
        """What the pool gets done, on two cores, before its callers lose patience."""
        if self.auth_hash_queue is not None:
            return self.auth_hash_queue
        return 32 if self.env == "production" else 128

    @property
    def attempts(self) -> AttemptsPerMinute:
        """The limits as they hold here."""
        default = PRODUCTION if self.env == "production" else DEVELOPMENT
        return AttemptsPerMinute(
            self.auth_sign_ups_per_address or default.sign_ups_of_address,
            self.auth_sign_ins_per_address or default.sign_ins_of_address,
            self.auth_sign_ins_per_account or default.sign_ins_of_account,
            self.auth_refreshes_per_session or default.refreshes_of_session,
        )
