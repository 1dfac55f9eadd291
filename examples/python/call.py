"""Calls the gateway over gRPC, with what its reflection says of the service: no generated code.

    pip install grpcio grpcio-reflection
    python call.py localhost:50051 GetAvailableSeats '{"event_id": "1", "page_size": 2}'

Prints the answer as JSON, the answers of a stream a line each, and ends with 1 for an error, whose
status and reason it prints. With a token: the variable INVENTORY_TOKEN.
"""

import os
import sys

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "inventory.v1.InventoryService"


def call(channel, method, request):
    """Yields the answers to a request; both are JSON, with the names of the .proto file."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    described = pool.FindServiceByName(SERVICE).FindMethodByName(method)
    of_type = message_factory.GetMessageClass
    start = channel.unary_stream if described.server_streaming else channel.unary_unary
    stub = start(
        f"/{SERVICE}/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=of_type(described.output_type).FromString,
    )
    token = os.environ.get("INVENTORY_TOKEN")
    metadata = [("authorization", f"Bearer {token}")] if token else []
    message = json_format.Parse(request, of_type(described.input_type)())
    answered = stub(message, metadata=metadata)
    for answer in answered if described.server_streaming else [answered]:
        yield json_format.MessageToJson(answer, indent=None, preserving_proto_field_name=True)


def main():
    address, method, request = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        try:
            for answer in call(channel, method, request):
                print(answer, flush=True)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
