"""The web service: loads published artifacts and answers predictions over HTTP.

Read it in this order: `app` wires everything; `routes` is the HTTP surface; a request then passes
`multipart`, `images` and `preparation` (bytes → tensor), `batching` (queue → batch) and `predictor`
(batch → answer). `manifest` is the format that training writes and this package reads.
"""

__version__ = "0.1.0"
