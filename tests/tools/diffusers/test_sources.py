"""Which pipeline a spec names, how it takes references, and what the table promises. No weights."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imagerag.agent.errors import BackendError, MissingExtraError, SpecError, UsageError
from imagerag.agent.ports import ReferenceTemplate
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.types import ImageRef, Size, UsedReference
from imagerag.tools import registry
from imagerag.tools.generators.diffusers import images, weight_sources
from imagerag.tools.generators.diffusers.families import BUILT_IN, FAMILIES, Family, register
from imagerag.tools.generators.diffusers.modular import block_arguments, is_modular
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator
from imagerag.tools.generators.diffusers.prompt_tags import ensure_prompt_tags
from imagerag.tools.judges.vlm.transformers_backend import transformers_judge
from imagerag.tools.spec import BackendSpec


@pytest.fixture
def table() -> Iterator[None]:
    """The table, put back afterwards."""
    yield
    FAMILIES.clear()
    FAMILIES.update(BUILT_IN)


def index(folder: Path, kind: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    return folder


def from_spec(text: str) -> DiffusersGenerator:
    return DiffusersGenerator.from_spec(BackendSpec.parse(text))


def test_every_row_names_a_class_of_diffusers_and_a_parameter_it_has() -> None:
    import inspect

    import diffusers

    for name, family in FAMILIES.items():
        kind = getattr(diffusers, family.pipeline)
        if is_modular(kind):
            arguments = block_arguments(getattr(diffusers, kind.default_blocks_name)())
        else:
            arguments = inspect.signature(kind.__call__).parameters.keys()
        named = {*filter(None, [family.parameter]), "prompt", "num_inference_steps", *family.guidance, *family.call}
        named |= set(family.sized(Size(width=64, height=64)) if family.sized else ())
        assert named <= arguments, name
        assert "callback_on_step_end" in arguments or name == "longcat-image-edit", name
        assert ("height" in arguments) is not family.fixed_size, name


@pytest.mark.parametrize(("name", "references"), [
    ("sdxl-ip-adapter", 1), ("flux-schnell-ip-adapter", 1), ("flux-kontext", 1), ("flux2-klein", 4), ("flux2-dev", 6),
    ("omnigen", 3), ("qwen-image-edit-plus", 3), ("qwen-image-2.1", 3), ("flux2-klein-kv", 4), ("glm-image", 3),
    ("joyimage-edit-plus", 4), ("flux3-klein", 10), ("flux3-klein-base", 10),
])  # fmt: skip
def test_a_family_by_its_name_and_by_its_repository(name: str, references: int) -> None:
    generator = from_spec(f"diffusers:{name}")
    assert (generator.identity, generator.max_references) == (f"diffusers:{name}", references)
    assert (generator.capabilities.supports_seed, generator.sizes) == (True, None)
    assert from_spec(f"diffusers:{FAMILIES[name].repo}").identity == f"diffusers:{name}"


@pytest.mark.parametrize(("name", "use"), [
    ("omnigen2", "omnigen"), ("OmniGen2/OmniGen2", "never run"), ("ominicontrol", "flux-kontext"),
    ("Yuanshi/OminiControl", "no maintained package"),
])  # fmt: skip
def test_a_model_that_is_not_there_is_refused_with_the_reason_and_what_to_use(name: str, use: str) -> None:
    with pytest.raises(SpecError, match=use):
        from_spec(f"diffusers:{name}")


@pytest.mark.parametrize("name", ["me/flux-30-steps", "someone/omnigen-v1"])
def test_names_that_only_look_like_them_are_looked_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        weight_sources, "_of_class", lambda repo: weight_sources.Source(name="", family=Family(), repo=repo)
    )
    assert from_spec(f"diffusers:{name}").max_references == 0


def test_other_weights_other_adapters_and_settings_show_in_the_identity(tmp_path: Path) -> None:
    for name in ("base", "adapter"):
        (tmp_path / name).mkdir()
    base, adapter = f"{tmp_path}/base", f"{tmp_path}/adapter"
    found = weight_sources.find(f"sdxl-ip-adapter={base}+{adapter}")
    assert found.repo == base
    assert found.family.adapter is not None
    assert found.family.adapter.repo == adapter
    assert weight_sources.find(f"flux-kontext={base}+{adapter}").repo == f"{base}+{adapter}"
    assert weight_sources.find(f"sdxl-ip-adapter=+{adapter}").repo == FAMILIES["sdxl-ip-adapter"].repo
    specs = ["", f"={base}", f"={adapter}", f"={base}+{adapter}", "=me/mine", "?steps=8", "?scale=0.7", "?guidance=3",
             "?dtype=float16"]  # fmt: skip
    identities = [from_spec(f"diffusers:sdxl-ip-adapter{spec}").identity for spec in specs]
    assert len(set(identities)) == len(specs)
    assert identities[1].startswith("diffusers:sdxl-ip-adapter=base~")
    assert str(tmp_path) not in "".join(identities)
    same = [from_spec(f"diffusers:flux-kontext{spec}").identity for spec in ("", "?device=cpu&offload=model")]
    assert len(set(same)) == 1
    assert DiffusersGenerator("omnigen", call={"x": 1}).identity != DiffusersGenerator("omnigen").identity


@pytest.mark.parametrize(("kind", "references", "needs"), [
    ("FluxKontextPipeline", 1, False),
    ("Flux2KleinPipeline", 4, False),
    ("QwenImageEditPlusPipeline", 3, True),
    ("StableDiffusionXLPipeline", 0, False),  # without an adapter it is text-only
    ("StableDiffusionXLImg2ImgPipeline", 0, False),  # its image is redrawn, not referred to
    ("FluxFillPipeline", 0, False),
    ("StableDiffusionControlNetPipeline", 0, False),
    ("ZImagePipeline", 0, False),
    ("QwenImageEditPipeline", 1, False),
    ("OfSomebodyElse", 0, False),
])  # fmt: skip
def test_any_pipeline_by_its_class(tmp_path: Path, kind: str, references: int, needs: bool) -> None:
    generator = from_spec(f"diffusers:{index(tmp_path / 'some', kind)}")
    assert (generator.max_references, generator._family.needs_reference) == (references, needs)
    assert "some~" in generator.identity


@pytest.mark.parametrize(("spec", "told"), [
    ("diffusers", "write diffusers:FAMILY"),
    ("diffusers:omnigen@http://localhost/v1", "takes no address"),
    ("diffusers:nothing-like-it", "no directory"),
    ("diffusers:/not/here", "no directory"),
    ("diffusers:nobody=/not/here", "no directory"),
    ("diffusers:omnigen?stepz=3", "no option 'stepz'"),
    ("diffusers:omnigen?steps=many", "steps must be a whole number"),
    ("diffusers:omnigen?steps=0", "steps must be a whole number, 1 or more"),
    ("diffusers:omnigen?scale=0.5", "no IP-Adapter"),
    ("diffusers:flux-kontext?max_references=2", "takes one reference"),
    ("diffusers:omnigen?max_references=-1", "from 0 to 16"),
    ("diffusers:omnigen?offload=yes", "none, model or sequential"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_what_can(spec: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        from_spec(spec)


def test_an_index_that_cannot_be_read_names_the_local_way(tmp_path: Path) -> None:
    for spec in ("diffusers:nobody/nothing", f"diffusers:{tmp_path}"):
        with pytest.raises(BackendError, match=r"diffusers:/DIR") as told:
            from_spec(spec)
        assert not told.value.retryable


def test_without_diffusers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingExtraError, match=r"imagerag\[diffusers\]"):
        from_spec("diffusers:omnigen")


@pytest.mark.usefixtures("table")
def test_a_user_extends_the_table() -> None:
    register("my-kontext", replace(FAMILIES["flux-kontext"], repo="me/kontext", steps=12))
    mine = from_spec("diffusers:my-kontext")
    assert mine.identity.startswith("diffusers:my-kontext?row=")
    assert mine.max_references == 1
    register("bare", Family(pipeline="FluxPipeline"))
    with pytest.raises(SpecError, match="no weights of its own"):
        from_spec("diffusers:bare")
    for name, family in (("A/B", Family()), ("", Family()), ("half", Family(max_references=2))):
        with pytest.raises(UsageError):
            register(name, family)


@pytest.mark.parametrize(("prompt", "count", "expected"), [
    ("a cat", 0, "a cat"),
    ("a cat", 2, "<img><|image_1|></img> <img><|image_2|></img> a cat"),
    ("x: <img><|image_2|></img>, a cat", 2, "<img><|image_1|></img> x: <img><|image_2|></img>, a cat"),
    ("<img><|image_1|></img><|image_7|>a cat", 0, "a cat"),
    ("<|image_1|><|image_0|>a cat", 1, "<|image_1|>a cat"),
])  # fmt: skip
def test_a_prompt_has_one_tag_for_each_picture(prompt: str, count: int, expected: str) -> None:
    assert ensure_prompt_tags(prompt, count, FAMILIES["omnigen"].tag) == expected
    assert ensure_prompt_tags(prompt, count, "") == prompt


def test_references_in_words() -> None:
    image = ImageRef(sha256="0" * 64, media_type="image/png", width=9, height=9)
    used = [UsedReference(image=image, caption=caption) for caption in ("a heron", "a {brace}")]
    told = reference_prompt(FAMILIES["omnigen"].template, "a pond", used)
    assert told == (
        "According to these images of a heron: <img><|image_1|></img>, a {brace}: <img><|image_2|></img>, "
        "generate a pond"
    )
    assert reference_prompt(FAMILIES["sdxl-ip-adapter"].template, "a pond", used[:1]).startswith("a pond, ")
    mine = ReferenceTemplate(whole="{prompt}|{items}")
    assert DiffusersGenerator("omnigen", template=mine).template is mine


@pytest.mark.parametrize(("asked", "multiple", "expected"), [
    ((1000, 700), 16, "1008x704"), ((1024, 1024), 32, "1024x1024"), ((16, 17), 32, "32x32"), ((39, 41), 16, "32x48"),
])  # fmt: skip
def test_sizes_are_rounded(asked: tuple[int, int], multiple: int, expected: str) -> None:
    assert str(images.rounded(Size(width=asked[0], height=asked[1]), multiple)) == expected


def test_whether_it_is_ready_is_said_without_loading_anything(tmp_path: Path, folder: Callable[[str], Path]) -> None:
    local = from_spec(f"diffusers:sdxl-ip-adapter={folder('sdxl')}+{folder('sdxl-adapter')}?device=cpu&dtype=float32")
    told = local.ready()
    assert "on cpu in float32" in told
    assert told.count("is here") == 2
    assert "hf download h94/IP-Adapter" in from_spec(f"diffusers:sdxl-ip-adapter={folder('sdxl')}").ready()
    with pytest.raises(BackendError, match=r"has no model_index\.json"):
        from_spec(f"diffusers:omnigen={tmp_path}").ready()
    judges = [BackendSpec.parse(f"transformers:{model}?device=cpu") for model in (folder("vlm"), "nobody/nothing")]
    here, elsewhere = [transformers_judge(spec).ready() for spec in judges]
    assert "is here" in here
    assert "hf download nobody/nothing" in elsewhere


def test_what_runs_here_costs_nothing_and_that_is_known_before() -> None:
    judge = transformers_judge(BackendSpec.parse("transformers:a/b?votes=3"))
    for tariff in (from_spec("diffusers:omnigen").capabilities.tariff, judge.capabilities.tariff):
        assert (tariff.known, tariff.most(100, 2, None)) == (True, 0.0)


def test_the_registry_finds_both(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "imagerag.tools.generators.diffusers.pipeline:DiffusersGenerator.from_spec"
    monkeypatch.setitem(registry.BUILT_IN["generator"], "diffusers", place)
    place = "imagerag.tools.judges.vlm.transformers_backend:transformers_judge"
    monkeypatch.setitem(registry.BUILT_IN["judge"], "transformers", place)
    assert registry.make_generator("diffusers:flux-kontext?steps=8").identity == "diffusers:flux-kontext?steps=8"
    fallback = registry.make_generator("diffusers:omnigen?steps=8,diffusers:flux2-klein")
    assert fallback.identity == "diffusers:omnigen?steps=8,diffusers:flux2-klein"
    assert registry.make_judge("transformers:a/b").identity == "transformers:a/b"
