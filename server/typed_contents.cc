#include "server/typed_contents.h"

#include <cstdint>
#include <string>
#include <type_traits>

#include <dlpack/dlpack.h>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

using Input = inference::ModelInferRequest::InferInputTensor;

// Copies the field's elements into a tensor of T, if each fits.
template <typename T, typename Field>
Result<Tensor> CopyElements(const Input& input, DLDataType dtype, int64_t count, const Field& field,
                            const char* field_name) {
  if (field.size() != count) {
    return Status(Code::kInvalidArgument,
                  "input '" + input.name() + "' has " + std::to_string(field.size()) +
                      " elements in " + field_name + "; its shape holds " + std::to_string(count));
  }
  Result<Tensor> tensor = Tensor::Allocate(dtype, {input.shape().begin(), input.shape().end()});
  if (!tensor.ok()) {
    return tensor.status();
  }
  auto* out = static_cast<T*>(tensor->data());
  for (const auto element : field) {
    *out = static_cast<T>(element);
    if (static_cast<std::remove_cv_t<decltype(element)>>(*out) != element && element == element) {
      return Status(Code::kInvalidArgument, "input '" + input.name() + "' holds " +
                                                std::to_string(element) + ", which does not fit " +
                                                input.datatype());
    }
    ++out;
  }
  return tensor;
}

}  // namespace

Result<Tensor> TensorOfTypedContents(const Input& input, DLDataType dtype, int64_t count) {
  const inference::InferTensorContents& contents = input.contents();
  const std::string& type = input.datatype();
  if (type == "BOOL") {
    return CopyElements<bool>(input, dtype, count, contents.bool_contents(), "bool_contents");
  }
  if (type == "INT8") {
    return CopyElements<int8_t>(input, dtype, count, contents.int_contents(), "int_contents");
  }
  if (type == "INT16") {
    return CopyElements<int16_t>(input, dtype, count, contents.int_contents(), "int_contents");
  }
  if (type == "INT32") {
    return CopyElements<int32_t>(input, dtype, count, contents.int_contents(), "int_contents");
  }
  if (type == "INT64") {
    return CopyElements<int64_t>(input, dtype, count, contents.int64_contents(), "int64_contents");
  }
  if (type == "UINT8") {
    return CopyElements<uint8_t>(input, dtype, count, contents.uint_contents(), "uint_contents");
  }
  if (type == "UINT16") {
    return CopyElements<uint16_t>(input, dtype, count, contents.uint_contents(), "uint_contents");
  }
  if (type == "UINT32") {
    return CopyElements<uint32_t>(input, dtype, count, contents.uint_contents(), "uint_contents");
  }
  if (type == "UINT64") {
    return CopyElements<uint64_t>(input, dtype, count, contents.uint64_contents(),
                                  "uint64_contents");
  }
  if (type == "FP32") {
    return CopyElements<float>(input, dtype, count, contents.fp32_contents(), "fp32_contents");
  }
  if (type == "FP64") {
    return CopyElements<double>(input, dtype, count, contents.fp64_contents(), "fp64_contents");
  }
  return Status(Code::kInvalidArgument, "input '" + input.name() + "' is " + type +
                                            ", which travels in raw_input_contents only");
}

}  // namespace torchdeploy::server
