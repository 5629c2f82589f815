"""Questions that refer to what was said or shown before: an earlier question, its answer, or an image."""

import re
from dataclasses import replace
from typing import Final

from imagerag.agent.qa.metadata_query.clauses import ParsedFilter
from imagerag.agent.qa.metadata_query.vocabulary import Vocabulary

_REFERS_TO_IMAGE: Final = re.compile(r"\b(this|these|it|its|same|similar|alike|ours|mine|my)\b")
"""Words that mean what the question's own image shows."""


def continues_question(understood: ParsedFilter) -> bool:
    """Whether it is the second half of a question: "and the red one?"."""
    ask = understood.ask
    own = ask.order or ask.count or ask.average or ask.total or ask.price or ask.author or ask.limits
    return ask.continues and bool(understood.terms) and not own and not understood.asked


def reverses_order(understood: ParsedFilter) -> bool:
    """Whether it asks for another end of what was asked before: "and the most expensive?"."""
    ask, order = understood.ask, understood.ask.order
    loose = not understood.terms and not understood.unknown
    return bool(ask.continues and order and not order.compared and loose and not ask.those and not ask.it)


def is_about_image(understood: ParsedFilter) -> bool:
    """Whether a question with an image is about what it shows: it says so, or names nothing else."""
    ask = understood.ask
    own = ask.order or ask.count or ask.average or ask.total or ask.lists or ask.limits
    return bool(_REFERS_TO_IMAGE.search(ask.text)) or not (understood.terms or own)


def refers_to_answer(understood: ParsedFilter) -> bool:
    ask = understood.ask
    loose = not understood.terms and not understood.unknown
    return ask.those or (loose and (ask.it or ask.continues or bool(ask.order and ask.order.compared)))


def continued(now: ParsedFilter, before: ParsedFilter, vocabulary: Vocabulary) -> ParsedFilter:
    """The question before, with the values named now in place of those of the same keys."""
    mine = {term.about for term in now.terms}
    earlier_terms = [term for term in before.terms if term.about not in mine and term.key not in ("name", "title")]
    both = replace(
        now, clauses=tuple((*clause, *earlier_terms) for clause in now.clauses), terms=(*now.terms, *earlier_terms)
    )
    base = both if any(both.fits(entry) for entry in vocabulary.entries) else now
    if reverses_order(now):
        ask = replace(now.ask, those=before.ask.those, continues=False, limits=now.ask.limits or before.ask.limits)
        return replace(now, clauses=before.clauses, terms=before.terms, ask=ask)
    # "and is there a blue one?" asks a thing of its own; "and the blue one?" asks the same once more
    frame = replace(now.ask if now.ask.lists else before.ask, those=False, it=False, continues=False)
    return replace(base, ask=frame, asked=before.asked)
