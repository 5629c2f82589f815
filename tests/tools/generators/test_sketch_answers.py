"""The sketch-backed provider: it draws what the prompt's words and the references' pixels say."""

import io
import json
from typing import Any

import openai
from PIL import Image

from imagerag.agent.ports import ImagePart
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.types import ImageRef, SamplingParams, UsedReference
from imagerag.tools.generators.image_decoding import data_url
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.sketch.generator import SketchGenerator
from imagerag.tools.testing.fakes import ScriptedJudge
from imagerag.tools.testing.mock_openai import MockOpenAIServer, SketchResponder, tiny_png

VARIATION = SamplingParams(seed=0)
SEEN = ImageRef(sha256="a" * 64, media_type="image/png", width=8, height=8)


def test_a_template_is_read_back_whatever_is_in_prompt_and_captions() -> None:
    answers = SketchResponder()
    captions = ["a striped, blue moon: new.", "two\nlines {n}", "Draw one new picture"]
    used = [UsedReference(image=SEEN, caption=caption) for caption in captions]
    prompt = "a red circle\n\nImage 2: not one"
    scene, named = answers.read_prompt(reference_prompt(answers.template, prompt, used))
    assert scene == prompt
    assert {n: image.caption for n, image in named.items()} == dict(enumerate(captions, start=1))
    assert answers.read_prompt("plain words") == ("plain words", {})


async def test_it_draws_what_the_painter_draws() -> None:
    painter = SketchGenerator()
    wanted = await painter.generate("a red circle", [], variation=VARIATION, size=None)
    moon = await painter.generate("a blue star", [], variation=VARIATION, size=None)
    reference = ImagePart(data=moon.data, media_type="image/png", caption="a green crescent")
    direct = await painter.generate("a green crescent", [reference], variation=VARIATION, size=None)
    with MockOpenAIServer(SketchResponder()) as server:
        generator = OpenAIImages("gpt-image-2", base_url=server.base_url)
        plain = await generator.generate("a red circle", [], variation=VARIATION, size=None)
        used = [UsedReference(image=SEEN, caption=reference.caption)]
        prompt = reference_prompt(generator.template, "a green crescent", used)
        edited = await generator.generate(prompt, [reference], variation=VARIATION, size=None)
        assert server.errors == []
    assert plain.data == wanted.data
    assert _pixels(edited.data) == _pixels(direct.data)


def asked(client: openai.OpenAI, words: str, picture: bytes, **form: Any) -> str:
    parts = [
        {"type": "image_url", "image_url": {"url": data_url(picture, "image/png")}},
        {"type": "text", "text": words},
    ]
    said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}], **form)
    return said.choices[0].message.content or ""


def test_it_judges_in_the_form_that_is_asked_for() -> None:
    check = {
        "type": "object",
        "properties": {"number": {"type": "integer"}, "requirement": {"type": "string"}, "met": {"type": "boolean"}},
    }
    fields = {"checks": {"type": "array", "items": {"$ref": "#/$defs/check"}}, "score": {"type": "number"}}
    schema = {"$defs": {"check": check}, "type": "object", "properties": fields}
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
    prompt = 'a red hat and a "blue" star'
    judge = ScriptedJudge(lambda prompt, image: ["a blue star"])
    given = f"PROMPT: {json.dumps(prompt)}"
    with (
        MockOpenAIServer(SketchResponder(judge=judge)) as server,
        openai.OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        verdict = json.loads(asked(client, given, tiny_png("x"), response_format=form))
        listed = f'{given}\nCHECKLIST:\n1. [content] "a red hat"\n2. [content] "a blue star"'
        again = json.loads(asked(client, listed, tiny_png("x"), response_format=form))
        said = asked(client, f"{given} Does it match? Answer yes or no.", tiny_png("x"))
        missing = asked(client, f"{given} What is missing?", tiny_png("x"))
        captions = asked(client, f'{given}\nWrite a caption each.\nCONCEPTS:\n1. "a hat"\n2. "a star"', tiny_png("x"))
        assert server.errors == []
    assert judge.calls[0].prompt == prompt
    assert verdict["checks"][-1] == {"number": 2, "requirement": "a blue star", "met": False}
    assert verdict["score"] == 0.5
    assert [check["requirement"] for check in again["checks"]] == ["a red hat", "a blue star"]
    assert (said, missing) == ("No.", "a blue star")
    assert captions == "a detailed picture of a hat\na detailed picture of a star"


def test_its_own_judge_is_the_sketch_judge() -> None:
    assert "sketch" in SketchResponder()._looker.identity


def _pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB").tobytes()


def test_a_data_url_holds_the_picture() -> None:
    assert data_url(b"\x89PNG", "image/png") == "data:image/png;base64,iVBORw=="
