"""`imagerag prices`: list, set."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import UsageError
from imagerag.agent.visible_text import is_blank
from imagerag.cli import Globals
from imagerag.cli.command_group import FullHelpGroup
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.terminal.output import accent, dim, say, say_all, say_json, say_note, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.text import clean
from imagerag.store.storage_errors import storage_errors
from imagerag.tools.pricing.catalogue import listed
from imagerag.tools.pricing.price_file import set_price
from imagerag.tools.pricing.price_rows import PriceRow
from imagerag.tools.pricing.price_table import ENVIRONMENT, FILE

if TYPE_CHECKING:
    from imagerag.schemas.commands import PricesDocument

RATES: Final = (
    "text_in", "image_in", "cached_in", "cached_image_in", "cache_write_in", "text_out", "image_out",
)  # fmt: skip


@click.group("prices", cls=FullHelpGroup)
def prices_command() -> None:
    """List and set the prices of models, in US dollars."""


@prices_command.command("list")
@click.argument("models", nargs=-1, metavar="[WORD]…")
@json_option
@pass_globals
def list_command(globals_: Globals, /, models: tuple[str, ...], as_json: bool) -> int:
    """List the prices of models whose name holds every WORD.

    Prices are per million tokens unless the row says per image or per call.

    Your own come first. The others come from the package genai-prices, as charged by the model's maker.
    """
    rag = ImageRAG(home=globals_.home)
    words = [word.lower() for word in models]
    matches = [one for one in _rows(rag) if all(word in one[0].lower() for word in words)]
    if as_json:
        say_json(_document(matches).as_json())
        return 0
    if not matches:
        say(f"no price is known for {' '.join(models) or 'any model'}: imagerag prices set MODEL --help")
    own = rag.dependencies.prices.rows
    head = [dim(name) for name in ("model", "text in", "image in", "text out", "image out", "else")]
    lines = [[accent(clean(name)), *_cells(row, own=name in own)] for name, row in matches]
    say_all(table([head, *lines], right={1, 2, 3, 4}, cut=0))
    sources = sorted({row.source.rpartition(" (")[0] or row.source for name, row in matches if name not in own})
    if sources:
        say_note(f"US dollars per million tokens. Not your own: from {', '.join(sources)}")
    return 0


def _rate_options(function: Any) -> Any:
    for name in reversed(RATES):
        function = click.option(f"--{name.replace('_', '-')}", type=float, metavar="X", help=_WHAT[name])(function)
    return function


_WHAT: Final = {
    "text_in": "A million tokens of text that is sent.",
    "image_in": "A million tokens of images that are sent.",
    "cached_in": "A million tokens of text read from a cache.",
    "cached_image_in": "A million tokens of images read from a cache.",
    "cache_write_in": "A million tokens written to a cache.",
    "text_out": "A million tokens of text that is returned.",
    "image_out": "A million tokens of images that are returned.",
}


@prices_command.command("set")
@click.argument("model")
@_rate_options
@click.option("--per-image", type=float, metavar="X", help="One image, where images have a price each.")
@click.option("--per-call", type=float, metavar="X", help="Highest price of a call, where nothing else is known.")
@click.option("--per-search", type=float, metavar="X", help="Each search of the web that the model makes by itself.")
@click.option("--free", is_flag=True, help="The model is free.")
@click.option("--source", default="", metavar="TEXT", help="Source of the price.")
@json_option
@pass_globals
def set_command(
    globals_: Globals, /, model: str, per_image: float | None, free: bool, source: str, as_json: bool, **rates: Any
) -> int:
    """Set the price of MODEL, in US dollars, in your prices.toml.

    MODEL is a name at OpenAI's own service, MODEL@HOST at any other, '*@HOST' for all models there. Values that you
    leave out stay as they are.
    """
    path = _file(ImageRAG(home=globals_.home))
    values: dict[str, Any] = {name: value for name, value in rates.items() if value is not None}
    if free and (values or per_image is not None):
        raise UsageError("--free goes alone: what costs nothing has no price")
    if free:
        values = {**dict.fromkeys(RATES, 0.0), "per_call": 0.0}
    if per_image is not None:
        values["per_image"] = {"any": {"any": per_image}, "auto": {"any": per_image}}
    noted = {"as_of": date.today(), **({"source": source} if source else {})}
    with storage_errors(path, "cannot write"):
        row = set_price(path, _name(model), {**values, **noted} if values else {})
    if as_json:
        say_json(_document([(_name(model), row)], file=str(path)).as_json())
    else:
        say_all([f"{accent(_name(model))}  {_price_text(row)}", dim(f"in {path}")])
    return 0


def _name(model: str) -> str:
    """The row's name; a spec such as `openai:gpt-image-2@http://localhost:4000/v1` is understood."""
    from imagerag.agent.errors import SpecError
    from imagerag.tools.gemini.client import GeminiCredentials
    from imagerag.tools.openai.client import OpenAICredentials
    from imagerag.tools.spec import BackendSpec

    name, at, host = model.partition("@")
    try:
        spec = BackendSpec.parse(model) if ":" in name or "://" in host else None
    except SpecError:
        spec = None
    if spec is not None and spec.model and spec.provider == "gemini":
        return f"{spec.model}@{GeminiCredentials.of_spec(spec).host}"
    if spec is not None and spec.model:
        place = OpenAICredentials.of_spec(spec)
        return spec.model if place.official else f"{spec.model}@{place.host}"
    if is_blank(name) or (at and is_blank(host)):
        raise UsageError(f"{model!r} names no model: write MODEL, or MODEL@HOST")
    return model


def _file(rag: ImageRAG) -> Path:
    path = environment_value(ENVIRONMENT)
    return Path(path).expanduser() if path else Path(rag.dependencies.home.root) / FILE


def _rows(rag: ImageRAG) -> Iterable[tuple[str, PriceRow]]:
    own = rag.dependencies.prices.rows
    yield from own.items()
    for one in listed():
        if one.model not in own:
            yield one.model, one.row


def _document(rows: Iterable[tuple[str, PriceRow]], *, file: str | None = None) -> "PricesDocument":
    from imagerag.schemas.commands import Price, PricesDocument

    prices_listed = []
    for name, row in rows:
        fields = row.model_dump(mode="json", exclude_none=True)
        prices = {key: value for key, value in fields.items() if value != {} and key not in ("as_of", "source")}
        prices_listed.append(Price(model=name, prices=prices, source=row.source, date=fields.get("as_of")))
    return PricesDocument(file=file, prices=prices_listed)


def _cells(row: PriceRow, *, own: bool) -> list[str]:
    """The cells of a row: rates, price per image or call, and whether it is the user's own."""
    rates = [f"{value:g}" if value is not None else "" for value in (row.text_in, row.image_in, row.text_out)]
    image_price = f"{row.image_out:g}" if row.image_out is not None else ""
    each = [f"call {row.per_call:g}"] if row.per_call is not None else []
    each += ["by the image"] if row.per_image else []
    each += ["yours"] if own else []
    return [*rates, image_price, ", ".join(each)]


def _price_text(row: PriceRow) -> str:
    parts = [f"{name.replace('_', ' ')} ${value:g}" for name in RATES if (value := getattr(row, name)) is not None]
    if row.per_image:
        highest = max(price for levels in row.per_image.values() for price in levels.values())
        parts.append(f"an image up to ${highest:g}")
    if row.per_call is not None:
        parts.append(f"a call up to ${row.per_call:g}")
    if row.per_search is not None:
        parts.append(f"a search ${row.per_search:g}")
    return ", ".join(parts) + (" (more for long input)" if row.above else "")
