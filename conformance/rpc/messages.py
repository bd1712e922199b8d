"""The specification's messages, made of `open_inference.proto` when they are first asked for."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

_PROTO = Path(__file__).with_name("open_inference.proto")


@cache
def _classes() -> dict[str, Any]:
    """In a pool of their own: a program that has messages of these names keeps them."""
    with TemporaryDirectory() as folder:
        found = Path(folder) / "descriptors"
        status = protoc.main(["protoc", f"-I{_PROTO.parent}", f"--descriptor_set_out={found}", _PROTO.name])
        if status:
            raise RuntimeError(f"protoc takes no {_PROTO.name}")
        described = descriptor_pb2.FileDescriptorSet.FromString(found.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.AddSerializedFile(file.SerializeToString())
    classes = message_factory.GetMessageClassesForFiles([_PROTO.name], pool)
    return {name.removeprefix("inference."): each for name, each in classes.items()}


def message(name: str, /, **fields: Any) -> Any:
    """A message of the protocol."""
    return _classes()[name](**fields)


def kind(name: str) -> Any:
    """The class of such messages."""
    return _classes()[name]
