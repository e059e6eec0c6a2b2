// What a request's inputs hold, read a second time and in another way than the server does.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::fuzz {

// Bytes of one element; 0 for BYTES. REQUIRES: a datatype of the protocol.
size_t ElementBytes(const std::string& datatype);

// Of each input its elements as raw contents. `region`: the only memory that clients share.
// REQUIRES: the server has accepted the request.
std::vector<std::string> ContentsOf(const inference::ModelInferRequest& request,
                                    std::string_view region);

// Whether the value is the tensor, or for BYTES the lists, that the input describes, with
// `contents`.
bool IsInput(const Value& value, const inference::ModelInferRequest::InferInputTensor& input,
             const std::string& contents);

}  // namespace torchdeploy::fuzz
