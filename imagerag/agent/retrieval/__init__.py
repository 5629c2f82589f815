"""Choice of references: captions, candidate selection, reranking, escalation, human selection.

To add a reason why a candidate is not used, extend `Decision` in `agent/types/searches.py`, decide it in
`candidate_selection.py`, and word it in `formatting/labels.py`.
"""
