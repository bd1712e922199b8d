"""The web service: loads published artifacts and answers predictions over HTTP.

Read it in this order: `app` wires everything; `routes` declares the HTTP surface; `predict` is the hot
path. A request passes `body`, `multipart`, `decoding`, `images` and `preparation` (bytes → tensor),
`batching` (queue → batch), `predictor` and `devices` (batch → answer). `manifest` is the format that
training writes and this package reads, `store` where it lies; `following` keeps each model at its live
version.
`direct_connection` and `direct` are a short cut through all this for small requests, which only makes it
quicker: skip them at first. `head`, `connection` and `lifetime` hold what comes to the rules of HTTP.
`documents`, `body`, `admission` and `pacing` bound what a request may cost the others.
"""

__version__ = "0.1.0"
