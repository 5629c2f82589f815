"""Repeat a request without the options that a server refuses; each adapter stores them and notes them with each image.

A deployment or alias hides the model behind it, so its options are not known in advance. A refused option costs
nothing.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imagerag.agent.errors import AuthError, BackendError, QuotaError, RefusalError
from imagerag.tools.error_bodies import body_of
from imagerag.tools.openai.errors import redact, to_imagerag_error
from imagerag.tools.openai.refused_options import may_refuse, refused_option

NEVER: Final = frozenset({"model", "prompt", "messages", "image", "mask", "extra_body", "extra_headers", "input"})
"""Parameters that cannot be left out: without them the image would be another one."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "partial_images": ("partial_image", "stream", "streaming"),
    "image_config": ("aspect_ratio",),
    "size": ("width", "height"),
}
"""Other names that servers use for options."""

_TOGETHER: Final = {"partial_images": ("stream",), "stream": ("partial_images",)}
_MISSING: Final = re.compile(r"required|missing|unknown|unexpected|unrecogni[sz]ed|not permitted|extra|must be", re.I)
_IMAGE_FIELD: Final = re.compile(
    r"\bimages?\[\]|[`'\"\[]images?[`'\"\]]|\bimages?\s*:|\bimages? (?:file |field |is |are )", re.I
)
_ABOUT_OPTIONS: Final = re.compile(
    r"param|argument|field|propert|option|unsupported|not support|unknown|unrecogni|unexpected|extra|schema|validat",
    re.I,
)
_NO_ROUTE: Final = frozenset({404, 405, 501})
_ABOUT_MODEL: Final = re.compile(r"model|deployment", re.I)

_log = logging.getLogger(__name__)


@dataclass
class RefusedOptions:
    """Options that a server was found to refuse.

    Attributes:
        who: the backend's name in messages.
        secrets: strings that no message may contain.
        found: option → the server's message.
        image_field: form field of an edit's files: `image[]`, or `image` for servers that need that.
    """

    who: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    found: dict[str, str] = field(default_factory=dict)
    image_field: str = "image[]"

    def without(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The remaining options, including those in `extra_body`."""
        remaining = {name: value for name, value in options.items() if name not in self.found}
        if isinstance(extra := remaining.get("extra_body"), Mapping):
            remaining["extra_body"] = {name: value for name, value in extra.items() if name not in self.found} or None
        return remaining

    def said_of(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Note for the record on which of these options were left out."""
        option_names = {*options, *(options.get("extra_body") or {})}
        left_out = [name for name in self.found if name in option_names and name != "stream"]
        return (f"{self.who} does not take {', '.join(left_out)}: asked without",) if left_out else ()

    def learn(self, error: Exception, options: Mapping[str, Any], *, editing: bool = False) -> bool:
        """Store the option or form that an error refuses, and return whether there is one.

        Args:
            options: as sent.
            editing: whether files were sent as a form.
        """
        own_error = to_imagerag_error(error, self.who, self.secrets)
        if not may_refuse(error) or isinstance(own_error, RefusalError | QuotaError | AuthError):
            return False
        body = body_of(error)
        if editing and self.image_field == "image[]" and self._names_files(body.where, body.words):
            self.image_field = "image"
            _log.warning("%s takes its images as `image`, not as `image[]`", self.who)
            return True
        sent_names = [name for name in (*options, *(options.get("extra_body") or {})) if self._may_go(name, options)]
        option = refused_option(error, sent_names, NAMES)
        # Sent by default because most servers need it, not because the user set it: it is removed first.
        if option is None and "response_format" in sent_names and _ABOUT_OPTIONS.search(body.words or "option"):
            option = "response_format"
        if option is None:
            return False
        words = redact(body.words, self.secrets)
        self.found |= dict.fromkeys((option, *_TOGETHER.get(option, ())), words)
        _log.warning("%s does not take %s, and is asked without: %s", self.who, option, words)
        return True

    def _may_go(self, name: str, options: Mapping[str, Any]) -> bool:
        value = options.get(name, (options.get("extra_body") or {}).get(name))
        return name not in NEVER and name not in self.found and value is not None

    def _names_files(self, where: tuple[str, ...], words: str) -> bool:
        places = {place.strip("[]").lower() for place in where}
        names_images = places & {"image", "images"} or _IMAGE_FIELD.search(words)
        return bool(names_images and _MISSING.search(words))


def no_edits(error: Exception, who: str, path: str) -> BackendError | None:
    """Error for a server without the endpoint for references; None for other errors."""
    body = body_of(error)
    if getattr(error, "status_code", None) not in _NO_ROUTE or _ABOUT_MODEL.search(f"{body.words} {body.codes}"):
        return None
    return BackendError(
        f"{who} has no {path}, which references need (HTTP {getattr(error, 'status_code', 0)}): name a server that has "
        "it, or one that takes references otherwise: openai-chat:MODEL@URL, localai:MODEL@URL",
        retryable=False,
    )
