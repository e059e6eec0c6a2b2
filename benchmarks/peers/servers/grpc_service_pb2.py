"""tritonclient's messages, by the name that Ray's pickles of them have for their module."""

from tritonclient.grpc.service_pb2 import *  # noqa: F403
