"""The rows on the gRPC service in their groups."""

from conformance.rpc.rows import health, inference, input_refusals, metadata, refusals, services
from conformance.suite import Groups

GROUPS: Groups = (
    ("gRPC: health", health.ROWS),
    ("gRPC: metadata", metadata.ROWS),
    ("gRPC: inference", inference.ROWS),
    ("gRPC: refusals", refusals.ROWS),
    ("gRPC: inputs", input_refusals.ROWS),
    ("gRPC: services", services.ROWS),
)
