"""`imagerag doctor`: configuration and reachability of backends."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from imagerag.cli import Globals
from imagerag.cli.options import json_option, library_option, pass_globals, preset_option
from imagerag.cli.terminal.output import (
    accent,
    bold,
    columns,
    dim,
    hanging,
    message_lines,
    say_all,
    say_json,
    short,
    table,
    tick,
)
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.interface_terms import as_commands, in_commands
from imagerag.formatting.labels import PRICES
from imagerag.formatting.numbers import cosine, dollars, seconds, size_of_bytes

if TYPE_CHECKING:
    from imagerag.diagnostics.doctor import BackendState, Diagnosis


ROOM: Final = 10**9
"""Bytes of a home from which on a way to make it smaller is told."""


@click.command("doctor")
@preset_option
@click.option("--generator", metavar="SPEC", help="Image generator  [env: IMAGERAG_GENERATOR]")
@click.option("--judge", metavar="SPEC", help="Judge  [env: IMAGERAG_JUDGE]")
@library_option
@click.option("--repair", "mend", is_flag=True, help="Rebuild damaged files where possible, set others aside.")
@click.option("--probe", is_flag=True, help="Make one small real call to each; prints the cost before.")
@json_option
@pass_globals
def doctor_command(
    globals_: Globals,
    /,
    preset: str | None,
    generator: str | None,
    judge: str | None,
    library: str | None,
    mend: bool,
    probe: bool,
    as_json: bool,
) -> int:
    """Check settings and their origins, keys, backends, libraries and every file of the home.

    With --repair, damaged files are rebuilt where possible (the list of runs, search indexes, images with a copy);
    others are moved to the folder set-aside. Nothing is deleted.

    The exit code is 1 when something does not work. `imagerag eval judge` tests the judge.
    """
    from imagerag.diagnostics.probes import probe_costs

    rag = ImageRAG(preset=preset, generator=generator, judge=judge, library=library, home=globals_.home)
    if probe:
        say_all((dim(line) for line in probe_costs(rag.settings, rag.dependencies)), err=True)
    diagnosis = run_sync(_diagnosed(rag, mend=mend, probe=probe))
    if as_json:
        say_json(diagnosis.model_dump(mode="json", by_alias=True))
    else:
        say_all(_lines(in_commands(diagnosis)))
    return 1 if diagnosis.problems else 0


async def _diagnosed(rag: ImageRAG, *, mend: bool, probe: bool) -> "Diagnosis":
    from imagerag.diagnostics.doctor import diagnose
    from imagerag.diagnostics.repair import repair

    repaired = await repair(rag.dependencies) if mend else []
    diagnosis = await diagnose(rag.settings, rag.dependencies, probe=probe)
    return diagnosis.model_copy(update={"repaired": repaired})


def _lines(diagnosis: "Diagnosis") -> Iterator[str]:
    from imagerag.diagnostics.doctor import EXTRAS

    yield accent("settings")
    yield from table(
        [
            [one.name, short(one.value or "none", 70), dim(one.origin)]
            for one in diagnosis.settings
            if one.name != "home"
        ]
    )
    yield from table(
        [["home", diagnosis.home], ["prices", ", ".join(diagnosis.prices)], ["", f"yours: {diagnosis.price_file}"]],
        whole={1},
    )
    yield accent("disk")
    whole = sum(diagnosis.disk.values())
    rows = [[kind, size_of_bytes(size)] for kind, size in diagnosis.disk.items() if size]
    yield from table([*rows, ["together", size_of_bytes(whole)]] if rows else [[dim("nothing yet")]], right={1})
    if diagnosis.disk.get("checkpoints", 0) + diagnosis.disk.get("blobs", 0) > whole / 2 and whole > ROOM:
        yield dim("  imagerag runs prune --older-than 90d --dry-run says what old runs take")
    yield accent("keys")
    yield from table([[name, "set" if there else dim("not set")] for name, there in diagnosis.keys.items()])
    yield accent("servers on this machine")
    yield from table(
        [
            [tick(True) if one.answers else dim("–"), one.name, one.address, dim(short(one.detail, 60))]
            for one in diagnosis.servers
        ]
    )
    yield accent("optional parts")
    yield from table(
        [[n, "installed" if there else dim(f"not installed: {EXTRAS[n]}")] for n, there in diagnosis.extras.items()]
    )
    yield accent("libraries")
    yield from table(
        [
            [
                one.name,
                short(as_commands(one.problem) or one.encoder, 60),
                "" if one.threshold is None else cosine(one.threshold),
            ]
            for one in diagnosis.libraries
        ]
        or [[dim("none yet: imagerag index PATH --library NAME")]]
    )
    yield accent("backends")
    yield from table([_backend_row(one) for one in diagnosis.backends])
    for one in diagnosis.backends:
        if one.price == "unknown" and one.reachable is not False:
            message = f"what a call of {one.spec} costs is not known, so no budget in money can be kept:"
            yield from hanging(message, columns(), indent=2, head="  ")
            yield from (f"    {way}" for way in _ways_to_price(one.spec))
    for one in diagnosis.backends:
        if one.role == "judge" and one.takes_images is None and one.reachable is not False:
            message = (
                f"whether {one.spec} takes images is not known: --probe asks it now, else a run does, once, before the "
                "first drawing that is paid"
            )
            yield from hanging(message, columns(), indent=4, head="  ")
    for one in diagnosis.backends:
        if one.probe is not None:
            cost = dollars(one.probe.cost_usd)
            message = f"{short(one.probe.detail, 90)} ({seconds(one.probe.elapsed_s)}, {cost})"
            yield from hanging(f"{one.spec}: {message}", columns(), indent=4, head=f"  {tick(one.probe.answered)} ")
    yield from (f"{tick(True)} {line}" for line in diagnosis.repaired)
    for problem in diagnosis.problems:
        yield from message_lines(problem, columns(), indent=2, head=f"{bold('✗')} ")
    for note in diagnosis.notes:
        yield from message_lines(note, columns(), indent=2, head="note: ")
    if not diagnosis.problems:
        asks = "" if any(b.probe for b in diagnosis.backends) else "; --probe asks the models themselves"
        yield from hanging(f"everything that could be looked at is in order{asks}", columns(), indent=2)
    yield dim("can the judge be trusted? imagerag eval judge")


def _backend_row(one: "BackendState") -> list[str]:
    price = PRICES[one.price]
    there = dim("?") if one.reachable is None else tick(one.reachable and one.listed is not False)
    return [there, one.role, short(one.spec, 50), dim(price), short(one.detail, 60)]


def _ways_to_price(spec: str) -> Iterator[str]:
    """The command to type where a price is unknown; a custom backend has no row in a price list."""
    if ":" in spec:
        yield f"imagerag prices set {shlex.quote(spec)} --per-call X"
    yield "or --assume-cost-usd-per-call X with each run"
