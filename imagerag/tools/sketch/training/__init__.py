"""Training of the sketch CLIP; not in the wheel."""
