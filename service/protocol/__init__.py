"""The Open Inference Protocol (version 2), which many clients speak: tensors in JSON or as bytes, at `/v2`.

It reads requests and writes answers; all about a model, and all that computes, is its endpoint's.
"""
