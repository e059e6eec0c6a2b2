// The messages of an inference as gRPC carries them.
#pragma once

#include <memory>

#include <grpcpp/grpcpp.h>

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Input tensors are views of the request, and a model may keep one beyond its call: so the request
// lives as long as the last of them. Null for bytes that are none. Empties `bytes`: a request that
// waits is in memory once.
std::shared_ptr<const inference::ModelInferRequest> ReadRequest(grpc::ByteBuffer& bytes);

// What ReadRequest() could not read is answered so.
grpc::Status UnreadableRequest();

// The response as it is sent. Large contents are not copied: the response lives until gRPC has sent
// them. REQUIRES: nobody changes it any more.
grpc::ByteBuffer BytesOf(const std::shared_ptr<inference::ModelInferResponse>& response);
grpc::ByteBuffer BytesOf(const std::shared_ptr<inference::ModelStreamInferResponse>& response);

}  // namespace torchdeploy::server
