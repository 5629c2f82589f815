"""Where a run comes from, what is different in it, and which references were put in or ruled out by hand."""

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import UsedReference
from imagerag.reports.html.image_gallery import Gallery
from imagerag.reports.html.markup import Child, Html, join, tag
from imagerag.reports.run_diff.input_diff import ancestors_of, inputs_changed_since, seen_name
from imagerag.reports.run_diff.models import Difference
from imagerag.reports.run_diff.text import pair


def lineage(record: RunRecord, parent: RunRecord | None, gallery: Gallery) -> Html | None:
    """The run it comes from, its setup differences, and how it was steered; nothing for a run of its own."""
    rows: list[tuple[str, Child]] = []
    if record.continues is not None:
        gone = "" if parent else " It is not here any more."
        told = ancestors_of(record.continues).capitalize()
        rows.append(("Comes from", tag("span", f"{told} ", tag("code", record.continues.run_id), f".{gone}")))
    if parent is not None:
        changes = inputs_changed_since(parent, record)
        rows.append(("What was changed", tag("ul", map(_change, changes)) if changes else "Nothing."))
    if record.pinned:
        rows.append(("Always sent", _pins(record.pinned, gallery)))
    if record.excluded:
        names = [tag("li", seen_name(sha, record, parent)) for sha in record.excluded]
        rows.append(("Never to be used", tag("ul", names)))
    if not rows:
        return None
    return tag("dl", [join(tag("dt", asked), tag("dd", said)) for asked, said in rows], class_="answers")


def _change(change: Difference) -> Html:
    before, after = pair(change)
    return tag("li", f"{change.what}: {before} → {after}")


def _pins(pins: list[UsedReference], gallery: Gallery) -> Html:
    shown = [
        tag("li", gallery.small(pin.image, pin.title or "reference"), tag("span", pin.title or pin.image.sha256[:12]))
        for pin in pins
    ]
    return tag("div", tag("ul", shown), class_="sent")
