"""Edit the user's `prices.toml` row by row; the rest of the file, comments included, stays unchanged."""

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imagerag.agent.errors import UsageError
from imagerag.formatting.messages import invalid
from imagerag.tools.pricing.price_rows import PriceRow
from imagerag.tools.pricing.price_table import read_table, rows_of


def set_price(path: Path, name: str, values: Mapping[str, Any]) -> PriceRow:
    """Write a model's row, merged with its old fields. The write is atomic.

    Args:
        path: the file; created if missing.
        name: the model, `model@host` or `*@host`.
        values: fields of `PriceRow`.

    Raises:
        UsageError: an invalid value, or a file that is no price table.
        OSError: the file cannot be written.
    """
    text = read_table(path) if path.is_file() else ""
    old_row = rows_of(text, str(path)).get(name)
    fields = {**(old_row.model_dump(exclude_defaults=True) if old_row else {}), **values}
    try:
        row = PriceRow.model_validate(fields)
    except ValidationError as error:
        raise UsageError(invalid(error, most=1)) from error
    if not row.priced:
        raise UsageError("say what it costs: `text_in`, `image_out`, `per_image`, `per_call`, … or `free=True`")
    rest = _without(text, name).rstrip()
    new = (f"{rest}\n\n" if rest else "") + _block(name, row)
    try:
        whole = rows_of(new, str(path)).get(name) == row
    except UsageError:
        whole = False
    if not whole:
        raise UsageError(f"{path} writes {name!r} in another way than [models.{_key(name)}]: change it there by hand")
    _write(path, new)
    return row


def _without(text: str, name: str) -> str:
    """The text without a model's tables."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.match(r"\s*\[", line):
            inside = _names(line, name)
        if not inside:
            lines.append(line)
    return "\n".join(lines)


def _names(line: str, name: str) -> bool:
    try:
        models = tomllib.loads(line).get("models")
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(models, Mapping) and name in models


def _block(name: str, row: PriceRow) -> str:
    fields = row.model_dump(exclude_defaults=True)
    return "\n".join([f"[models.{_key(name)}]", *(f"{key} = {_value(value)}" for key, value in fields.items()), ""])


def _key(name: Any) -> str:
    return json.dumps(str(name), ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        fields = {key: one for key, one in value.items() if one is not None}
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in fields.items()) + " }"
    if isinstance(value, date):
        return value.isoformat()
    return _key(value) if isinstance(value, str) else repr(value)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
