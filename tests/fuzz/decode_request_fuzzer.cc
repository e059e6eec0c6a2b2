// Any bytes as a request: its arguments are read, joined with themselves, split, and sent back.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/arguments.h"
#include "server/joined_arguments.h"
#include "server/request_decoder.h"
#include "server/request_parameters.h"
#include "server/response_encoder.h"
#include "server/shared_memory_regions.h"
#include "server/status_mapping.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"
#include "tests/fuzz/clients_memory.h"
#include "tests/fuzz/fitting_tensors.h"
#include "tests/fuzz/input_contents.h"
#include "tests/fuzz/message_mutator.h"
#include "tests/fuzz/rule.h"
#include <google/protobuf/stubs/logging.h>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace torchdeploy::fuzz {

namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;
using inference::ModelStreamInferResponse;
using server::Arguments;
using Input = ModelInferRequest::InferInputTensor;

// One output as it must be sent.
struct Expected {
  std::string name;
  std::string datatype;
  std::vector<int64_t> shape;
  std::string contents;
};

const ClientsMemory& Memory() {
  static const ClientsMemory memory;
  return memory;
}

// A refusal is the client's fault, says why, and can be sent in a stream.
void RequireRefusal(const Status& status) {
  Require(status.code() == Code::kInvalidArgument, "bad input is INVALID_ARGUMENT");
  Require(!status.message().empty(), "a refusal says why");
  ModelStreamInferResponse response;
  response.set_error_message(server::TextOf(status));
  Require(ModelStreamInferResponse().ParseFromString(response.SerializeAsString()),
          "a refusal is UTF-8");
}

// By the request's version: that of its own inputs, exactly or with free extents, one of its own
// choice, or none.
std::optional<Manifest> ManifestFor(const ModelInferRequest& request) {
  Manifest manifest;
  if (request.model_version() == "3") {
    manifest.inputs = {{"x", "FP32", std::vector<int64_t>{-1, 2}}, {"y", "BYTES", {}}};
    return manifest;
  }
  if (request.model_version() != "1" && request.model_version() != "2") {
    return std::nullopt;
  }
  const bool is_exact = request.model_version() == "1";
  for (const Input& input : request.inputs()) {
    std::vector<int64_t> shape(input.shape().begin(), input.shape().end());
    if (!is_exact) {
      std::ranges::fill(shape, -1);
    }
    manifest.inputs.push_back({input.name(), is_exact ? input.datatype() : "", shape});
  }
  return manifest;
}

// For each input of the request its argument.
std::vector<const Value*> ValuesOf(const Arguments& arguments, const ModelInferRequest& request) {
  std::vector<const Value*> values;
  for (int i = 0; i < request.inputs_size(); ++i) {
    const std::string& name = request.inputs(i).name();
    if (arguments.positional.empty()) {
      const auto& [keyword, value] = arguments.keywords.at(static_cast<size_t>(i));
      Require(keyword == name, "keywords are the names, in order");
      values.push_back(&value);
    } else {
      Require(name.starts_with("INPUT__"), "only numbered inputs are positional");
      values.push_back(&arguments.positional.at(std::stoul(name.substr(7))));
    }
  }
  return values;
}

// BYTES of shape [] are sent as [1], and lists without elements as far as they go.
std::vector<int64_t> EchoedShape(const Input& input) {
  std::vector<int64_t> shape(input.shape().begin(), input.shape().end());
  if (input.datatype() == "BYTES") {
    const auto empty = std::ranges::find(shape, 0);
    shape.erase(empty == shape.end() ? empty : empty + 1, shape.end());
    shape = shape.empty() ? std::vector<int64_t>{1} : shape;
  }
  return shape;
}

// An output without a name gets this one.
std::string KeyFor(const std::string& name) {
  return name.empty() ? "OUTPUT__0" : name;
}

std::vector<Expected> ExpectEcho(const Arguments& arguments, const ModelInferRequest& request,
                                 const std::vector<std::string>& contents) {
  std::vector<Expected> outputs;
  for (int i = 0; i < request.inputs_size(); ++i) {
    const Input& input = request.inputs(i);
    const std::string name =
        arguments.positional.empty() ? KeyFor(input.name()) : "OUTPUT__" + input.name().substr(7);
    outputs.push_back(
        {name, input.datatype(), EchoedShape(input), contents[static_cast<size_t>(i)]});
  }
  if (!arguments.positional.empty()) {
    std::ranges::sort(outputs, {},
                      [](const Expected& output) { return std::stoul(output.name.substr(8)); });
  }
  return outputs;
}

Value EchoOf(const Arguments& arguments) {
  if (!arguments.positional.empty()) {
    return Tuple{arguments.positional};
  }
  Dict dict;
  for (const auto& [name, value] : arguments.keywords) {
    dict.emplace_back(KeyFor(name), value);
  }
  return dict;
}

Status Encode(const Value& result, const std::vector<Expected>& expected,
              const ModelInferRequest& request, const server::OutputSlices& slices,
              ModelInferResponse& response) {
  std::vector<TensorSpec> declared;
  for (const Expected& output : expected) {
    declared.push_back({output.name, output.datatype, {}});
  }
  return server::EncodeResponse(result, declared, request, slices, &response);
}

void RequireOutput(const Expected& expected, const ModelInferResponse& response, int i) {
  const auto& output = response.outputs(i);
  Require(output.name() == expected.name, "outputs have the inputs' names, in their order");
  Require(output.datatype() == expected.datatype, "an output has its input's datatype");
  Require(std::ranges::equal(output.shape(), expected.shape), "an output has its input's shape");
  if (!output.parameters().contains("shared_memory_region")) {
    Require(response.raw_output_contents(i) == expected.contents, "the echo is what came");
  }
}

void RequireEcho(const std::vector<Expected>& expected, const ModelInferRequest& request,
                 const ModelInferResponse& response) {
  Require(response.outputs_size() == response.raw_output_contents_size(), "one content each");
  Require(ModelInferResponse().ParseFromString(response.SerializeAsString()), "it can be sent");
  int next = 0;
  for (const Expected& output : expected) {
    const auto asks_for = [&](const auto& asked) { return asked.name() == output.name; };
    if (request.outputs().empty() || std::ranges::any_of(request.outputs(), asks_for)) {
      Require(next < response.outputs_size(), "what is asked for is sent");
      RequireOutput(output, response, next++);
    }
  }
  Require(next == response.outputs_size(), "nothing else is sent");
}

void CheckEcho(const Arguments& arguments, const ModelInferRequest& request,
               const std::vector<Expected>& expected) {
  const Result<server::OutputSlices> slices = Memory().regions().SlicesOfOutputs(request);
  if (!slices.ok()) {
    RequireRefusal(slices.status());
    return;
  }
  std::set<std::string> names;
  for (const Expected& output : expected) {
    names.insert(output.name);
  }
  ModelInferResponse response;
  const Status status = Encode(EchoOf(arguments), expected, request, *slices, response);
  const bool are_known = std::ranges::all_of(
      request.outputs(), [&](const auto& output) { return names.contains(output.name()); });
  if (are_known && names.size() < expected.size()) {
    Require(status.code() == Code::kInternal, "two outputs of one name are the model's fault");
  } else if (!are_known || !slices->empty()) {
    status.ok() ? Require(are_known, "unknown outputs are refused") : RequireRefusal(status);
  } else {
    Require(status.ok(), "what came can be sent back");
  }
  if (status.ok()) {
    RequireEcho(expected, request, response);
  }
}

// As a batch of two is.
void CheckJoined(const Arguments& arguments, const std::vector<Expected>& expected) {
  constexpr int64_t kMostRows = 1 << 20;  // Of a batch.
  const std::optional<server::Rows> rows = server::RowsOf(arguments);
  if (!rows.has_value() || rows->count > kMostRows) {
    return;
  }
  const std::array both = {&arguments, &arguments};
  const Result<Arguments> joined = server::JoinArguments(both);
  Require(joined.ok(), "equal requests can be joined");
  const std::optional<server::Rows> all = server::RowsOf(*joined);
  Require(all.has_value() && all->count == 2 * rows->count, "a batch has the rows of both");
  Require(all->kind == rows->kind, "a batch is of its requests' kind");
  const std::array counts = {rows->count, rows->count};
  const Result<std::vector<Value>> parts = server::SplitResult(EchoOf(*joined), counts);
  Require(parts.ok() && parts->size() == 2, "a batch can be split again");
  for (const Value& part : *parts) {
    ModelInferResponse response;
    const Status status = Encode(part, expected, {}, {}, response);
    Require(status.ok() || status.code() == Code::kInternal, "a part can be sent");
    if (status.ok()) {
      RequireEcho(expected, {}, response);
    }
  }
}

void RequireFit(const Input& input, const std::string& contents) {
  if (input.datatype() == "BYTES") {
    return;  // Its elements have been counted one by one.
  }
  unsigned __int128 bytes = ElementBytes(input.datatype());
  const bool is_empty = std::ranges::count(input.shape(), 0) > 0;
  for (const int64_t extent : input.shape()) {
    Require(extent >= 0, "no extent is negative");
    bytes *= is_empty ? 0 : static_cast<uint64_t>(extent);
    Require(bytes <= contents.size(), "the shape has no more elements than there are");
  }
  Require(input.datatype() != "BOOL" ||
              std::ranges::all_of(contents, [](char b) { return b == 0 || b == 1; }),
          "a BOOL is 0 or 1");
  Require(bytes == contents.size(), "the contents are as long as shape and datatype say");
}

bool HasVeryManyLists(const ModelInferRequest& request) {
  constexpr int64_t kMany = 1 << 10;
  return std::ranges::any_of(request.inputs(), [](const Input& input) {
    return input.datatype() == "BYTES" &&
           std::ranges::any_of(input.shape(), [](int64_t extent) { return extent > kMany; });
  });
}

void CheckAccepted(const Arguments& arguments, const ModelInferRequest& request) {
  const std::vector<std::string> contents = ContentsOf(request, Memory().Contents());
  const std::vector<const Value*> values = ValuesOf(arguments, request);
  for (size_t i = 0; i < values.size(); ++i) {
    const Input& input = request.inputs(static_cast<int>(i));
    RequireFit(input, contents[i]);
    Require(IsInput(*values[i], input, contents[i]), "an argument is what its input says");
  }
  if (HasVeryManyLists(request)) {
    return;  // It would take a second.
  }
  const std::vector<Expected> expected = ExpectEcho(arguments, request, contents);
  CheckJoined(arguments, expected);
  CheckEcho(arguments, request, expected);
}

void Check(const std::shared_ptr<const ModelInferRequest>& request) {
  const auto parameters = server::ReadParameters(*request);
  if (!parameters.ok()) {
    RequireRefusal(parameters.status());
  }
  Memory().Fill();
  const std::optional<Manifest> manifest = ManifestFor(*request);
  const Result<Arguments> arguments = server::DecodeRequest(request, manifest, Memory().regions());
  if (!arguments.ok()) {
    RequireRefusal(arguments.status());
    return;
  }
  Require(!manifest.has_value() || manifest->inputs.size() == arguments->keywords.size(),
          "each declared input is given, once, by its name");
  CheckAccepted(*arguments, *request);
}

size_t MutateRequest(std::span<uint8_t> data, size_t size, uint32_t seed) {
  MessageMutator mutator(seed);
  ModelInferRequest request;
  if (mutator.Pick(8) == 0 || !request.ParseFromArray(data.data(), static_cast<int>(size))) {
    return LLVMFuzzerMutate(data.data(), size, data.size());
  }
  if (mutator.Pick(6) == 0) {
    AddFittingInput(request, mutator);
  }
  if (mutator.Pick(12) == 0) {
    AddFittingOutput(request, mutator);
  }
  for (size_t changes = mutator.Pick(3); changes > 0; --changes) {
    mutator.Mutate(request);
  }
  const std::string bytes = request.SerializeAsString();
  if (bytes.size() > data.size()) {
    return LLVMFuzzerMutate(data.data(), size, data.size());
  }
  std::ranges::copy(bytes, data.begin());
  return bytes.size();
}

}  // namespace

}  // namespace torchdeploy::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  return torchdeploy::fuzz::MutateRequest({data, max_size}, size, seed);
}

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  google::protobuf::SetLogHandler(nullptr);  // It tells of each text that is no UTF-8.
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto request = std::make_shared<inference::ModelInferRequest>();
  if (request->ParseFromArray(data, static_cast<int>(size))) {
    torchdeploy::fuzz::Check(request);
  }
  return 0;
}
