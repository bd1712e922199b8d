"""Pixels → the 28×28 picture that the digit model reads: modes, ground, polarity, strokes."""
