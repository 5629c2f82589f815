"""Parse the part of a spec after `diffusers:`: family, weights, settings.

    FAMILY                        a row of `families.FAMILIES`, with its own weights
    FAMILY=ORG/NAME, FAMILY=/DIR  the same with other weights
    FAMILY=/DIR+/ADAPTER          and another IP-Adapter
    ORG/NAME, /DIR                any pipeline; how it takes references is read from its class

Settings follow a `?`: `flux-kontext?steps=8&dtype=float32&offload=model` (`pipeline.SETTINGS`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import BackendError, SpecError
from imagerag.agent.extras import import_extra
from imagerag.agent.regular_files import read_regular_text
from imagerag.tools.credentials import check_hub
from imagerag.tools.generators.diffusers.families import FAMILIES, Family, why_not_here
from imagerag.tools.huggingface_hub import hub

INDEXES: Final = ("model_index.json", "modular_model_index.json")
"""Files that name a pipeline's class and its components; the second is that of a modular pipeline."""

_NO_REFERENCES: Final = frozenset(
    {"strength", "mask", "mask_image", "control_image", "controlnet_conditioning_scale", "noise_level", "depth_map"}
)
"""Arguments of pipelines whose `image` is not a reference but is redrawn, inpainted, upscaled, or traced."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One pipeline to load.

    Attributes:
        name: the family's name; empty for a pipeline without a row.
        repo: repository id or directory.
    """

    name: str
    family: Family
    repo: str


def find(model: str) -> Source:
    """Parse the part after `diffusers:`, without its settings.

    For a pipeline without a row, `model_index.json` is read, downloaded if necessary, and its class imported.

    Raises:
        SpecError: neither a family, nor a directory, nor of the form ORG/NAME.
        BackendError: the model's index could not be downloaded.
        MissingExtraError: diffusers is not installed and its class is needed.
    """
    name, equals, weights = model.partition("=")
    if name not in FAMILIES and not Path(model).expanduser().is_dir():
        _refuse_elsewhere(model)
    if name in FAMILIES:
        return _of_family(name, weights) if equals else Source(name=name, family=FAMILIES[name], repo=_own(name))
    for family_name, family in FAMILIES.items():
        if model == family.repo:
            return Source(name=family_name, family=family, repo=model)
    path = Path(model).expanduser()
    if not path.is_dir() and (model.startswith((".", "/", "~")) or model.count("/") != 1 or equals):
        family_names = ", ".join(sorted(FAMILIES))
        raise SpecError(f"diffusers:{model} is no family ({family_names}), no directory, and no ORG/NAME of the Hub")
    return _of_class(str(path.resolve()) if path.is_dir() else model)


def _refuse_elsewhere(model: str) -> None:
    """Refuse a model that is known not to load, with what to use instead."""
    if why := why_not_here(model.partition("=")[0]):
        raise SpecError(f"diffusers:{model} cannot be used. {why}")


def _own(name: str) -> str:
    repo = FAMILIES[name].repo
    if not repo:
        raise SpecError(
            f"diffusers:{name} has no weights of its own: write diffusers:{name}=ORG/NAME or diffusers:{name}=/DIR"
        )
    return repo


def _of_family(name: str, weights: str) -> Source:
    family, repo = FAMILIES[name], weights
    if family.adapter is not None:
        repo, _, adapter = weights.partition("+")
        if adapter:
            family = replace(family, adapter=replace(family.adapter, repo=adapter))
    return Source(name=name, family=family, repo=repo or _own(name))


def _of_class(repo: str) -> Source:
    """Family of a pipeline from its own class. One that needs an adapter for references is text-only without it."""
    kind = _class_name(repo)
    for name, family in FAMILIES.items():
        if family.pipeline == kind and family.adapter is None:
            return Source(name=name, family=family, repo=repo)
    return Source(name="", family=_by_signature(kind), repo=repo)


def _class_name(repo: str) -> str:
    try:
        index = json.loads(read_regular_text(_index(repo)))
        kind = index["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"diffusers:{repo}: its {INDEXES[0]} cannot be read ({type(error).__name__}). Without a network, name "
            "a directory that `save_pretrained` or `hf download` wrote: diffusers:/DIR",
            retryable=False,
        ) from error
    if not isinstance(kind, str):
        message = (
            f"diffusers:{repo}: its pipeline is code of its own, which is never run: only pipelines of diffusers are"
        )
        raise BackendError(message, retryable=False)
    return kind


def check_index(repo: str) -> None:
    """Check that a directory's index names no code: only classes of diffusers and transformers, no files of its own.

    Raises:
        BackendError: it names some; the message says where.
    """
    for path in (Path(repo).expanduser() / name for name in INDEXES):
        if not path.is_file():
            continue
        try:
            index = json.loads(read_regular_text(path))
        except (OSError, ValueError, RecursionError):
            continue  # diffusers reports the problem
        if isinstance(index, dict):
            check_components(str(path), index)


def check_components(where: str, index: Mapping[str, Any]) -> None:
    """Check that the content of an index names no code: see `check_index`.

    Args:
        where: its file or repository, for the message.

    Raises:
        BackendError: it names some.
    """
    pipelines = getattr(library(), "pipelines", None)
    for name, value in index.items():
        if not isinstance(value, (list, tuple)) or (name.startswith("_") and name != "_class_name"):
            continue
        modules = _modules(value)
        within = all(
            module in (None, "diffusers", "transformers") or (isinstance(module, str) and hasattr(pipelines, module))
            for module in modules
        )
        own_file = any((Path(where).parent / name / f"{module}.py").is_file() for module in modules)
        if name == "_class_name" or not within or own_file:
            raise BackendError(
                f"{where}: {name} names code of its own ({str(value)[:80]}), which is never run: only "
                "classes of diffusers and transformers are",
                retryable=False,
            )


def _modules(value: Sequence[Any]) -> list[Any]:
    """Modules that an entry of an index names: `[module, class]`, in a modular one also in its third value."""
    loading = value[2] if len(value) > 2 and isinstance(value[2], Mapping) else {}
    return [*value[:1], *(loading.get("type_hint") or ())[:1]]


def _index(repo: str) -> Path:
    folder = Path(repo)
    if folder.is_dir():
        return next((folder / name for name in INDEXES if (folder / name).is_file()), folder / INDEXES[0])
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    check_hub(f"diffusers:{repo}")
    with hub(repo):
        try:
            return Path(hf_hub_download(repo, INDEXES[0]))
        except EntryNotFoundError:
            return Path(hf_hub_download(repo, INDEXES[1]))


def _by_signature(kind: str) -> Family:
    """Reference parameter from a class's signature; if the signature shows none, the pipeline is text-only."""
    import inspect

    diffusers = library()
    pipeline = getattr(diffusers, kind, None)
    if pipeline is None:
        return Family(multiple=0)
    if issubclass(pipeline, diffusers.ModularPipeline):  # what its blocks do with an image, their inputs do not say
        return Family(pipeline=kind, multiple=0)
    arguments = inspect.signature(pipeline.__call__).parameters
    many = _takes_many(arguments)
    if many is None or _NO_REFERENCES & set(arguments):
        return Family(pipeline=kind, multiple=0)
    parameter, shape = many
    needed = arguments[parameter].default is inspect.Parameter.empty
    limit = 1 if shape == "one" else 3
    return Family(
        pipeline=kind, parameter=parameter, shape="one" if shape == "one" else "list",
        max_references=limit, needs_reference=needed, multiple=0,
    )  # fmt: skip


def _takes_many(arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    for parameter, shape in (("input_images", "list"), ("images", "list"), ("image_reference", "one")):
        if parameter in arguments:
            return parameter, shape
    if "image" not in arguments:
        return None
    return "image", "list" if str(arguments["image"].annotation).startswith("list[") else "one"


def library() -> Any:
    """Import diffusers.

    Raises:
        MissingExtraError: not installed.
    """
    return import_extra("diffusers", "drawing with diffusers", "diffusers")


def is_here(repo: str, *files: str) -> str:
    """Sentence on whether a repository or directory with one of these files is on this machine; downloads nothing.

    Raises:
        BackendError: a directory without any of them.
    """
    path = Path(repo).expanduser()
    if path.is_dir():
        if any((path / file).is_file() for file in files):
            return f"{short(repo)} is here"
        message = f"{repo} has no {' and no '.join(files)}: name a directory that `save_pretrained` wrote"
        raise BackendError(message, retryable=False)
    from huggingface_hub import try_to_load_from_cache

    if any(isinstance(try_to_load_from_cache(repo, file), str) for file in files):
        return f"{repo} is here"
    return f"{repo} is not here yet: its first use fetches it, or `hf download {repo}` does"


def short(repo: str) -> str:
    """A repository id as it is; a directory by its last part, with a few letters against name clashes."""
    path = Path(repo).expanduser()
    if not (path.is_dir() or repo.startswith(("/", ".", "~"))):
        return repo
    return f"{path.resolve().name}~{sha256(str(path.resolve()).encode()).hexdigest()[:6]}"


def digest(text: str) -> str:
    """The first 8 hexadecimal digits of a text's SHA-256, to distinguish settings in an identity."""
    return sha256(text.encode()).hexdigest()[:8]
