"""A user's own templates in a backend spec: `?template=`, `?template_subject=`, `?template_edit=`, `?template_item=`.

Braces are placeholders, written as in a URL query (`+` is a space). An unknown placeholder is refused when the spec is
parsed, before any image is paid for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any, Final

from imagerag.agent.ports import ReferenceTemplate


@dataclass(frozen=True)
class Template:
    """Reader of a template option.

    Attributes:
        known: the allowed placeholders.
        needed: the required placeholders.
    """

    known: tuple[str, ...]
    needed: tuple[str, ...]

    @property
    def valid_values(self) -> str:
        """The required format, for error messages."""
        may = [name for name in self.known if name not in self.needed]
        return f"text with {_listed(self.needed)}" + (f", and {_listed(may)} where wanted" if may else "")

    def read(self, text: str) -> str:
        """Validate and return the template."""
        fields = [(name, form, way) for _, name, form, way in Formatter().parse(text) if name is not None]
        names = [name for name, form, way in fields if not form and not way]
        if len(names) < len(fields) or not set(self.needed) <= set(names) <= set(self.known):
            raise ValueError(text)
        return text


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"{{{name}}}" for name in names)


_WHOLE: Final = Template(known=("prompt", "items"), needed=("prompt",))

TEMPLATE_OPTIONS: Final[Mapping[str, Template]] = {
    "template": _WHOLE,
    "template_subject": _WHOLE,
    "template_edit": _WHOLE,
    "template_item": Template(known=("caption", "n"), needed=("caption",)),
}
"""Template options in the specs of all generators: for references, for the user's own subjects, for an edit (with or
without a mask), and for each image's item."""

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "template": ("whole",),
    "template_subject": ("subject",),
    "template_edit": ("edit", "masked"),
    "template_item": ("item", "subject_item", "edit_item"),
}


def with_template(settings: dict[str, Any], own: ReferenceTemplate) -> dict[str, Any]:
    """The settings of a spec, with its template options merged into the generator's own template as one."""
    options = {name: settings[name] for name in TEMPLATE_OPTIONS if name in settings}
    rest = {name: value for name, value in settings.items() if name not in TEMPLATE_OPTIONS}
    if not options:
        return rest
    fields = {field: text for name, text in options.items() for field in _FIELDS[name]}
    return {**rest, "template": replace(own, **fields)}
