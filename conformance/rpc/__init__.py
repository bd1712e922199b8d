"""The rows on the gRPC service of the protocol. Needs grpcio; nothing else of the suite does."""
