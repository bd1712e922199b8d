"""Shapes that are drawn to train on: fonts, strokes in random hands, symbols, doodles."""
