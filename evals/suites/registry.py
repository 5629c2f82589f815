"""From what a suite is called to the suite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.evals.suites.case import Suite
from imagerag.evals.suites.classes import TEMPLATE, class_suite
from imagerag.evals.suites.prompts import prompt_suite
from imagerag.evals.suites.runs import run_suite
from imagerag.evals.suites.sketch import CASES, sketch_suite
from imagerag.graphs.wiring import Wiring

KINDS: Final[Mapping[str, str]] = {
    "sketch[:CASES]": f"rare things of the sketch world, six levels of difficulty ({CASES} cases)",
    "classes:PATH": "one prompt per class: a list of names, or a folder with a folder of pictures per class",
    "prompts:FILE": "JSONL, CSV, GenEval's JSONL, PartiPrompts' TSV, or one prompt per line",
    "runs[:N]": "your own last runs, each from its first picture",
}


async def find_suite(spec: str, wiring: Wiring, *, template: str = TEMPLATE, seed: int = 0) -> Suite:
    """The suite of that name; a bare path is a prompt set, or where it is a folder a class list.

    Args:
        wiring: the user's own, for `runs`.
        template: the prompt of class lists, with `{name}`.
        seed: decides the cases of `sketch`, and is the seed of class lists.

    Raises:
        UsageError: no such suite, or it cannot be read.
    """
    kind, _, given = spec.partition(":")
    if kind == "sketch":
        return sketch_suite(_count(given, CASES, spec), seed)
    if kind == "runs":
        return await run_suite(wiring, _count(given, 100, spec))
    if kind == "classes" and given:
        return class_suite(given, template=template, seed=seed)
    if kind == "prompts" and given:
        return prompt_suite(given)
    if Path(spec).expanduser().exists():
        return class_suite(spec, template=template, seed=seed) if Path(spec).is_dir() else prompt_suite(spec)
    there = "\n".join(f"  {name:16} {told}" for name, told in KINDS.items())
    raise UsageError(f"no suite {spec!r}; there are:\n{there}")


def _count(text: str, default: int, spec: str) -> int:
    if not text:
        return default
    if not text.isdigit() or not int(text):
        raise UsageError(f"{spec!r}: after the colon comes how many cases")
    return int(text)
