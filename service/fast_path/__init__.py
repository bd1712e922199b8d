"""The fast path: how small requests are answered by plain calls, which makes it quicker and nothing else.

A connection of ours needs no ASGI for it (`connection`); what other servers bring takes it, too (`asgi`).

To do without it, delete this folder and `tests/fast_path`, let `server.connection` make a
`PacedConnection`, `app` call itself what answers a model's requests, and `preloading` not import it.
"""
