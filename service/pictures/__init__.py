"""Files → the row of pixels that a model reads; `digits/` prepares what the digit model reads."""
