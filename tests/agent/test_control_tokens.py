"""Nobody's words are taken for a model's control tokens, and people can still read them."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models

from imagerag.agent.control_tokens import control_tokens, neutralised, without_tokens
from imagerag.agent.ports import ImagePart, ReferenceTemplate
from imagerag.agent.prompts import reference_prompt

TOKENS = """
<|image_pad|> <|im_end|> <|im_start|> <|vision_start|> <|vision_end|> <|video_pad|> <|endoftext|> <|box_start|>
<start_of_turn> <end_of_turn> <start_of_image> <image_soft_token> <bos> <eos> <pad> <unk> <unused94> <mask>
<|turn> <turn|> <|channel> <channel|> <|image|> <image|> <|tool_call> <|"|>
[INST] [/INST] [IMG] [IMG_BREAK] [IMG_END] [TOOL_CALLS] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [SYSTEM_PROMPT] [THINK]
[/THINK] <s> </s> <<SYS>> <</SYS>> <SPECIAL_20>
<|eot_id|> <|start_header_id|> <|end_header_id|> <|begin_of_text|> <|python_tag|> <|eom_id|>
<|user|> <|assistant|> <|system|> <|end|> <|image_1|> <|endoftext10|>
<｜User｜> <｜Assistant｜> <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜▁pad▁｜>
[gMASK] [sMASK] <sop> <eop> <|begin_of_image|> <|observation|> [MASK]
<img> </img> <IMG_CONTEXT> <image> <video> <audio> <box> </box> <ref> <quad>
<fake_token_around_image> <end_of_utterance> <global-img> <row_1_col_1> <loc0001> <seg001>
<|start|> <|channel|> <|message|> <|return|> <|call|> <|constrain|>
<|media_begin|> <|media_pad|> ◁think▷ ◁/think▷ <|im_user|> <|im_middle|>
<think> </think> <tool_call> </tool_call> <seed:think> <seed:bos> <[begin▁of▁sentence]>
<|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> <BOS_TOKEN> <|CHATBOT_TOKEN|>
[|user|] [|endofturn|] [|assistant|] [BOS] [CLS] [SEP] [unused16] [UNUSED_TOKEN_146]
]~!b[ ]~b] [e~[ ]<]image[>[ >>QUESTION<< <extra_id_0> <reserved_106> <image_start> <start_of_text> <end_of_text>
<|im▁end|> <role> </role> <im_patch> <|image token|> <|IMAGE_PLACEHOLDER|> <|startofimage|> <0x0A>
""".split()  # noqa: SIM905, a list that is easier to read as words
TOKENS += ["<|image token|>", "<\\|startoftext\\|>"]


def tokenizer(tokens: Sequence[str]) -> Tokenizer:
    """A real tokenizer that knows these control tokens, and every other character as unknown."""
    made = Tokenizer(models.WordLevel({"[UNK-OF-TEST]": 0}, unk_token="[UNK-OF-TEST]"))
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    return made


KNOWING = tokenizer(TOKENS)


def special(text: str) -> list[str]:
    return [token for token in KNOWING.encode(text).tokens if token in TOKENS]


@pytest.mark.parametrize("token", TOKENS)
def test_no_control_token_comes_out_of_somebodys_words(token: str) -> None:
    words = f"a cat{token}\n{token} and {token}{token}"
    assert special(words), "it does from the words as they are"
    inert = neutralised(words)
    assert special(inert) == []
    letters = re.sub(r"\W", "", token)
    assert letters in re.sub(r"[\W]", "", inert), "the words can still be read"
    assert inert.startswith("a cat")
    assert " and " in inert


@given(st.lists(st.sampled_from([*TOKENS, "<", ">", "|", "[", "]", " ", "a", "<|", "|>", "\u200b", "/"]), max_size=12))
def test_nor_from_any_mixture_of_them(pieces: list[str]) -> None:
    inert = neutralised("".join(pieces))
    assert special(inert) == []
    assert neutralised(inert) == inert


@pytest.mark.parametrize(
    "text", ["<extra_id_0>>>QUESTION<<[INST]token|>", "[|<s>|]", "◁</s>▷", "<<[|<s>|]>", "<[IMG]>", "]~!b[>[e~["]
)
def test_nor_from_one_within_another(text: str) -> None:
    inert = neutralised(text)
    assert special(inert) == []
    assert neutralised(inert) == inert


@given(st.text(max_size=300))
def test_twice_is_as_once_and_no_letter_is_lost(text: str) -> None:
    inert = neutralised(text)
    assert neutralised(inert) == inert
    assert re.sub(r"[\W_]", "", inert) == re.sub(r"[\W_]", "", text)


@pytest.mark.parametrize(
    "plain",
    [
        "a red hat", "a < b and c > d", "I <3 cats", "5 > 3", "<b>SALE</b> 50 %", "<p>a</p>", "[1] and [content]",
        "[SALE]", "a | b", "x <- y -> z", "“quoted”", "a{b}c", "100% [sic]", "if (a<b) {}", "naïve ｜ 日本",
    ],
)  # fmt: skip
def test_ordinary_words_are_not_touched(plain: str) -> None:
    assert neutralised(plain) == plain


@pytest.mark.parametrize(
    "hidden", ["<\u200b|im_end|>", "＜|im_end|＞", "<|im_end|\u200b>", "<im\u00adage>", "［INST］"]
)
def test_what_a_normaliser_would_make_of_it_counts(hidden: str) -> None:
    assert not set("<>＜＞［］") & set(neutralised(hidden))


def test_tokens_of_no_usual_form_are_known_from_the_tokenizer_itself() -> None:
    odd = tokenizer(["@@END@@", "|ENDOFTEXT|"])
    words = without_tokens("a cat@@END@@ |ENDOFTEXT|", ["@@END@@", "|ENDOFTEXT|", "!", " "])
    assert words == "a cat@ @END@@ | ENDOFTEXT|"
    assert set(odd.encode(words).tokens) == {"[UNK-OF-TEST]"}


def test_a_generators_own_tags_stay_and_a_captions_do_not() -> None:
    omnigen = ReferenceTemplate(item="{caption}: <img><|image_{n}|></img>")
    assert omnigen.tokens(2) == {"<img>", "</img>", "<|image_1|>", "<|image_2|>"}
    assert ReferenceTemplate().tokens(3) == frozenset()
    sent = [ImagePart(data=b"", media_type="image/png", caption="a cat <|image_1|><|im_end|>")]
    worded = reference_prompt(omnigen, "a pond </s>", sent)
    assert worded == (
        "According to these images of a cat ‹|image_1|›‹|im_end|›: <img><|image_1|></img>, generate a pond ‹/s›"
    )
    assert neutralised(worded, omnigen.tokens(1)) == worded
    assert reference_prompt(omnigen, "a pond <image>", []) == "a pond ‹image›"
    assert control_tokens("<img><|image_1|></img> [INST]") == ["<img>", "<|image_1|>", "</img>", "[INST]"]
