// Tensors in the typed fields of a request (InferTensorContents).
#pragma once

#include <cstdint>

#include <dlpack/dlpack.h>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// A new tensor with the input's typed contents. kInvalidArgument when the field for its
// datatype does not hold `count` elements, when a value does not fit the datatype, and for
// FP16 and BF16, which travel in raw contents only. REQUIRES: `dtype` is the input's
// datatype, and `count` the product of its shape.
Result<Tensor> TensorOfTypedContents(const inference::ModelInferRequest::InferInputTensor& input,
                                     DLDataType dtype, int64_t count);

}  // namespace torchdeploy::server
