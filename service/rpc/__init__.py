"""The Open Inference Protocol over gRPC: the calls that `/v2` has, answered by the same models and batches.

It needs the extra `grpc`; nothing imports this folder without it.
"""
