// From a model's result to a response.
#pragma once

#include <span>

#include "server/shared_memory_regions.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Appends the outputs that the request asks for (all, if it names none) to the response, in
// raw contents or, by `slices`, in shared memory, in the order of the result. Tensors are copied:
// the response does not refer to `result` afterwards. Numbers become tensors of shape []: BOOL,
// INT64 or FP64. `declared` are the manifest's outputs; of these only what is BYTES matters, see
// NameOutputs().
//
// kInvalidArgument for a requested output that the model did not give, naming those that it
// gave, and for shared memory that is too small; kInternal for an output that the protocol cannot
// carry (complex, FP8, a device), and for two of one name; kResourceExhausted for more than a
// message can hold, 2 GiB - 1 MiB.
Status EncodeResponse(const Value& result, std::span<const TensorSpec> declared,
                      const inference::ModelInferRequest& request, const OutputSlices& slices,
                      inference::ModelInferResponse* response);

}  // namespace torchdeploy::server
