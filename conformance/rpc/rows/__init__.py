"""What the gRPC service promises, by subject."""
