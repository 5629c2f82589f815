"""The sketch world: a small, honest, fully offline world with a real CLIP, a catalogue and a painter."""
