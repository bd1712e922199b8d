"""The fast path: how small requests are answered without ASGI, which makes it quicker and nothing else.

To do without it, delete this folder and `tests/fast_path`, and let `server.connection` make a
`PacedConnection`.
"""
