"""`imagerag models`: the models that are known by name."""

from typing import TYPE_CHECKING

import click

from imagerag.cli import Globals
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.terminal.output import accent, columns, dim, message_lines, say_all, say_json, say_note, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import dollars
from imagerag.formatting.text import clean
from imagerag.tools.generators.diffusers.families import why_not_here
from imagerag.tools.model_list import ROLES, ListedModel, ModelCost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagerag.schemas.commands import ModelsDocument


@click.command("models")
@click.argument("words", nargs=-1, metavar="[WORD]…")
@click.option("--role", type=click.Choice(ROLES), help="Only models for this role.")
@click.option("--provider", metavar="NAME", help="Only models of this provider, for instance diffusers.")
@json_option
@pass_globals
def models_command(
    globals_: Globals, /, words: tuple[str, ...], role: str | None, provider: str | None, as_json: bool
) -> int:
    """List the models whose spec holds every WORD, with what they take and cost.

    Any other model of a provider can be named as well; what it takes is then said by its options.
    """
    matches = [
        one
        for one in ImageRAG(home=globals_.home).models(role=role, provider=provider)
        if all(word.lower() in one.spec.lower() for word in words)
    ]
    if as_json:
        say_json(_document(matches).as_json())
        return 0
    if not matches:
        why = why_not_here("-".join(words))
        message = f"no model is listed for {' '.join(words)}. {why or 'All of them: imagerag models'}"
        say_all(message_lines(message, columns(), indent=2))
        return 0
    for title, listed, head, cells in (
        ("generators", "generator", ("spec", "takes", "sizes", "licence", "price"), _drawing_cells),
        ("judges", "judge", ("spec", "licence", "price"), _judging_cells),
    ):
        rows = [cells(one) for one in matches if one.role == listed]
        if rows:
            say_all([title, *table([[dim(name) for name in head], *rows])])
    say_note(
        "Takes: references at most; e an image to edit, m a mask, s a seed. x16: sides are multiples of 16 pixels. "
        "Prices: one image of 1024x1024 at most, without references; of judges, a million tokens of text that is sent, "
        "and returned. No licence: read the card of the weights. URL: of a server of your own, for instance "
        "http://127.0.0.1:8080/v1."
    )
    return 0


def _drawing_cells(one: ListedModel) -> list[str]:
    takes = "".join(letter for letter, can in (("e", one.edits), ("m", one.masks), ("s", one.seeds)) if can)
    references = "?" if one.references is None else str(one.references)
    return [accent(clean(one.spec)), f"{references:>2} {takes}", clean(one.sizes), clean(one.licence), _price(one.cost)]


def _judging_cells(one: ListedModel) -> list[str]:
    spec, at, _ = clean(one.spec).partition("@")
    return [accent(f"{spec}@URL" if at else spec), clean(one.licence), _price(one.cost)]


def _price(cost: ModelCost) -> str:
    if cost.free:
        return "free"
    if cost.image_usd is not None:
        return dollars(cost.image_usd)
    if cost.text_in_usd is not None and cost.text_out_usd is not None:
        return f"{dollars(cost.text_in_usd)}, {dollars(cost.text_out_usd)}"
    return "unknown"


def _document(models: "Sequence[ListedModel]") -> "ModelsDocument":
    from dataclasses import asdict

    from imagerag.schemas.commands import ModelFacts, ModelsDocument

    return ModelsDocument(models=[ModelFacts.model_validate(asdict(one)) for one in models])
