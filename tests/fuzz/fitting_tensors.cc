#include "tests/fuzz/fitting_tensors.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "open_inference_grpc.pb.h"
#include "tests/fuzz/input_contents.h"
#include "tests/fuzz/message_mutator.h"

namespace torchdeploy::fuzz {

namespace {

using inference::InferTensorContents;
using inference::ModelInferRequest;
using Input = ModelInferRequest::InferInputTensor;

constexpr std::array kDatatypes = {"BOOL",  "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16",
                                   "INT32", "INT64", "FP16",   "BF16",   "FP32",   "FP64", "BYTES"};
constexpr std::array kNames = {"x", "y", "INPUT__0", "INPUT__1", "INPUT__2", ""};

// Bytes 0 and 1, which are elements of every datatype, and lengths of BYTES.
std::string RawContents(const Input& input, size_t count, MessageMutator& random) {
  std::string raw;
  for (size_t i = 0; i < count * ElementBytes(input.datatype()); ++i) {
    raw.push_back(static_cast<char>(random.Pick(2)));
  }
  for (size_t i = 0; input.datatype() == "BYTES" && i < count; ++i) {
    const size_t length = random.Pick(3);
    raw.append({static_cast<char>(length), 0, 0, 0}).append(length, 'a');
  }
  return raw;
}

void AddTyped(const std::string& datatype, InferTensorContents& contents) {
  if (datatype == "BOOL") {
    contents.add_bool_contents(true);
  } else if (datatype == "INT64") {
    contents.add_int64_contents(-1);
  } else if (datatype == "UINT64") {
    contents.add_uint64_contents(1);
  } else if (datatype.starts_with("INT")) {
    contents.add_int_contents(-1);
  } else if (datatype.starts_with("UINT")) {
    contents.add_uint_contents(1);
  } else if (datatype == "FP64") {
    contents.add_fp64_contents(1);
  } else if (datatype == "BYTES") {
    contents.add_bytes_contents("ab");
  } else {
    contents.add_fp32_contents(1);
  }
}

template <typename InputOrOutput>
void AddShared(size_t size_bytes, InputOrOutput& tensor) {
  auto& parameters = *tensor.mutable_parameters();
  parameters["shared_memory_region"].set_string_param("region");
  parameters["shared_memory_byte_size"].set_uint64_param(size_bytes);
}

}  // namespace

void AddFittingInput(ModelInferRequest& request, MessageMutator& random) {
  const bool has_raw = request.raw_input_contents_size() > 0;
  const bool is_first = request.inputs().empty();
  Input& input = *request.add_inputs();
  input.set_name(kNames[random.Pick(kNames.size())]);
  input.set_datatype(kDatatypes[random.Pick(kDatatypes.size())]);
  size_t count = 1;
  for (size_t rank = random.Pick(4); rank > 0; --rank) {
    const size_t extent = random.Pick(4);
    input.add_shape(static_cast<int64_t>(extent));
    count *= extent;
  }
  const size_t kind = random.Pick(4);
  if (kind == 0) {
    AddShared(count * ElementBytes(input.datatype()), input);
  } else if (has_raw || (is_first && kind == 1)) {
    *request.add_raw_input_contents() = RawContents(input, count, random);
  } else {
    for (size_t i = 0; i < count; ++i) {
      AddTyped(input.datatype(), *input.mutable_contents());
    }
  }
}

void AddFittingOutput(ModelInferRequest& request, MessageMutator& random) {
  if (request.inputs().empty()) {
    return;
  }
  const size_t chosen = random.Pick(static_cast<size_t>(request.inputs_size()));
  std::string name = request.inputs(static_cast<int>(chosen)).name();
  if (name.starts_with("INPUT__") && random.Pick(4) != 0) {
    name.replace(0, 2, "OUT");
  }
  auto& output = *request.add_outputs();
  output.set_name(name);
  if (random.Pick(2) == 0) {
    AddShared(random.Pick(128), output);
  }
}

}  // namespace torchdeploy::fuzz
