"""The base of every service's settings: environment variables, read once, refused with a name when bad."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, NoReturn, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

EXIT_CONFIG = 2


class ConfigError(Exception):
    """The process cannot start as it is set up. The message is one readable line."""


class Settings(BaseSettings):
    """What every service reads. Subclasses add their own fields; a field `x_y` is the variable PARLEY_X_Y."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_", env_ignore_empty=True, extra="ignore", frozen=True)

    env: Literal["development", "production"] = Field(
        "development", description="production refuses to start without its secrets and has no GraphiQL"
    )
    data_dir: Path = Field(Path(".parley"), description="where embedded mode keeps its databases and keys")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least level logged")

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Settings from the environment. Raises ConfigError naming the variable and what is wrong with it."""
        try:
            return cls(**overrides)  # type: ignore[arg-type] # pydantic checks them
        except ValidationError as error:
            raise ConfigError("; ".join(map(_describe, error.errors(include_url=False)))) from None


def _describe(error: object) -> str:
    assert isinstance(error, dict)  # noqa: S101 - pydantic's ErrorDetails
    name = "_".join(str(part) for part in error["loc"]).upper()
    return f"PARLEY_{name.removeprefix('PARLEY_')}: {error['msg']}"


def refuse_to_start(error: ConfigError) -> NoReturn:
    """Print the one line and end the process with the exit code for a bad set-up."""
    print(f"parley: {error}", file=sys.stderr)  # noqa: T201 - before logs are configured
    raise SystemExit(EXIT_CONFIG)


def prepare_data_dir(path: Path) -> Path:
    """Create the folder if need be. Raises ConfigError when it cannot be written to."""
    probe = path / ".writable"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"PARLEY_DATA_DIR: cannot write to {path}: {error.strerror}") from None
    return path
