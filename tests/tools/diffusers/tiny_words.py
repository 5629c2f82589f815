"""Tokenizers made from nothing: one token per byte or character, with the special tokens that pipelines look for."""

from typing import Any

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_SPECIALS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
QWEN_IDS = {token: 256 + n for n, token in enumerate(QWEN_SPECIALS)}
QWEN_VOCABULARY = 256 + len(QWEN_SPECIALS)


def _bytes() -> list[str]:
    """GPT-2's letters for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [n for n in range(256) if n not in printable]
    return [chr(n) for n in printable] + [chr(256 + n) for n in range(len(others))]


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    letters = [*_bytes(), *(f"{letter}</w>" for letter in _bytes()), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: n for n, token in enumerate(letters)}, merges=[], model_max_length=77)


CLIP_VOCABULARY = 514


def t5_tokenizer() -> Any:
    from transformers import T5TokenizerFast

    letters = ["<pad>", "</s>", "<unk>", "▁", *(chr(n) for n in range(33, 127))]
    return T5TokenizerFast(vocab=[(token, -float(n)) for n, token in enumerate(letters)], extra_ids=0)


T5_VOCABULARY = 98


def qwen_tokenizer(**named: Any) -> Any:
    """Byte-level tokens; `named` are further special tokens by their names."""
    from transformers import Qwen2TokenizerFast

    vocab = {token: n for n, token in enumerate(_bytes())} | QWEN_IDS
    more = {"additional_special_tokens": list(QWEN_SPECIALS[1:])} if not named else named
    made = Qwen2TokenizerFast(vocab=vocab, merges=[], **more)
    made.chat_template = CHAT
    return made


def llama_tokenizer() -> Any:
    from transformers import LlamaTokenizerFast

    letters = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁", *(chr(n) for n in range(33, 127))]
    return LlamaTokenizerFast(vocab={token: n for n, token in enumerate(letters)}, merges=[])


LLAMA_VOCABULARY = 3 + 256 + 95
