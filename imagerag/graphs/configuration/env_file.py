"""Variables from a file that the user names: `--env-file`, or IMAGERAG_ENV_FILE. No `.env` is read unasked."""

import io
import os
from pathlib import Path
from typing import Final

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import UsageError

VARIABLE: Final = "IMAGERAG_ENV_FILE"
LONGEST: Final = 1 << 20
"""Bytes."""


def load_env_file(path: str | os.PathLike[str] | None = None) -> list[str]:
    """Put the variables of a file into this process's environment; those that are set already stay as they are,
    blank ones count as unset.

    Args:
        path: `NAME=value` lines as python-dotenv reads them; None is the file that IMAGERAG_ENV_FILE names, if any.

    Returns:
        The names that were set, never their values.

    Raises:
        UsageError: there is no such file, or a line that is no `NAME=value`; the message shows no line.
    """
    env_file = path if path is not None else environment_value(VARIABLE)
    if not env_file:
        return []
    values = _read(str(Path(env_file).expanduser().absolute()))
    fresh = {name: value for name, value in values.items() if environment_value(name) is None}
    os.environ.update(fresh)
    return list(fresh)


def _read(path: str) -> dict[str, str]:
    from dotenv.parser import parse_stream

    try:
        if not Path(path).is_file():
            raise UsageError(f"--env-file: {path} is not a file")
        with open(path, "rb") as file:
            data = file.read(LONGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--env-file: cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--env-file: {path} is not UTF-8 text") from error
    if len(data) > LONGEST or "\0" in text:
        raise UsageError(f"--env-file: {path} is no file of variables")
    variables: dict[str, str] = {}
    # A value is taken as it is written: one that named other variables would depend on what is set meanwhile.
    for line in parse_stream(io.StringIO(text)):
        if line.error or (line.key and line.value is None):
            raise UsageError(f"--env-file: {path}, line {line.original.line} is not NAME=value")
        if line.key and line.value is not None:
            variables[line.key] = line.value
    return variables
