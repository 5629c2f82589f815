"""The filter language: `taken>=2024-05 and camera~"X100" and licence in (CC0-1.0, CC-BY-4.0) and not tag=draft`.

`parser` makes the tree of `imagerag.agent.types.filters` from text, `literals` says what a value can mean, `matching`
decides for one image (what the expressions of a library must agree with), `keys` checks a filter against what a library
holds.
"""
