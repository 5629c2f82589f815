"""Registry of suites."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.evals.suites.case import Suite
from imagerag.evals.suites.class_lists import TEMPLATE, class_suite
from imagerag.evals.suites.from_runs import run_suite
from imagerag.evals.suites.prompt_files import prompt_suite
from imagerag.evals.suites.sketch import CASES, sketch_suite
from imagerag.formatting.messages import near
from imagerag.graphs.dependencies import Dependencies

KINDS: Final[Mapping[str, str]] = {
    "sketch[:CASES]": f"rare things of the sketch world, six levels of difficulty ({CASES} cases)",
    "classes:PATH": "one prompt per class: a list of names, or a folder with a folder of images per class",
    "prompts:FILE": "JSONL, CSV, GenEval's JSONL, PartiPrompts' TSV, or one prompt per line",
    "runs[:N]": "your own last runs, each from its first image",
}


async def find_suite(
    spec: str, dependencies: Dependencies, *, template: str = TEMPLATE, seed: int = 0, allow_outside: bool = False,
    sections: Sequence[str] = ("arms",), embedder: str = "sketch",
) -> Suite:  # fmt: skip
    """Find a suite by its name; a bare path is a prompt set or, if it is a folder, a class list.

    Args:
        dependencies: the user's own dependencies, for the suite `runs`.
        template: the prompt of class lists, with `{name}`.
        sections, embedder: options of `sketch`, see `sketch_suite`.
        seed: decides the cases of `sketch`, and is the seed of class lists.
        allow_outside: a prompt set may name images outside of its folder.

    Raises:
        UsageError: the suite is unknown, or its file cannot be read.
    """
    kind, _, argument = spec.partition(":")
    if kind == "sketch":
        return sketch_suite(_count(argument, spec), seed, sections=sections, embedder=embedder)
    if tuple(sections) != ("arms",):
        raise UsageError(f"only the suite sketch has sections beside arms; not {spec!r}")
    if kind == "runs":
        return await run_suite(dependencies, _count(argument, spec) or 100)
    if kind == "classes" and argument:
        return class_suite(argument, template=template, seed=seed)
    if kind == "prompts" and argument:
        return prompt_suite(argument, allow_outside=allow_outside)
    path = Path(spec).expanduser()
    if path.exists():
        if path.is_dir():
            return class_suite(spec, template=template, seed=seed)
        return prompt_suite(spec, allow_outside=allow_outside)
    if kind != spec or path.suffix or path.name != spec:
        raise UsageError(_not_there(spec, kind, argument))
    guess = near(kind, [name.partition("[")[0].partition(":")[0] for name in KINDS])
    raise UsageError(
        f"no suite {spec!r}; " + (f"did you mean {guess!r}? " if guess else "") + f"There are:\n{_there()}"
    )


def _there() -> str:
    return "\n".join(f"  {name:16} {description}" for name, description in KINDS.items())


def _not_there(spec: str, kind: str, argument: str) -> str:
    """The reason why a suite named by a file or with a colon cannot be made."""
    if kind in ("prompts", "classes"):
        return f"{spec!r}: after the colon comes a file or a folder, for instance {kind}:FILE"
    if argument:
        guess = near(kind, ["sketch", "classes", "prompts", "runs"])
        hint = f"; did you mean {guess!r}?" if guess else ""
        return f"{spec!r}: no kind of suite is called {kind!r}{hint} There are:\n{_there()}"
    return f"there is no file or folder {spec!r} to take prompts from: give its path, or a suite:\n{_there()}"


def _count(text: str, spec: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or not int(text):
        raise UsageError(f"{spec!r}: after the colon comes how many cases")
    return int(text)
