#include "server/request_decoder.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "server/arguments.h"
#include "server/byte_strings.h"
#include "server/datatype.h"
#include "server/name_list.h"
#include "server/raw_contents.h"
#include "server/shared_memory_regions.h"
#include "server/typed_contents.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

using inference::ModelInferRequest;
using Input = ModelInferRequest::InferInputTensor;

constexpr const char* kPositionalPrefix = "INPUT__";
constexpr int kMostDimensions = 64;  // As in torch.
constexpr int kMostInputs = 1024;

Status Invalid(const std::string& message) {
  return {Code::kInvalidArgument, message};
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

std::vector<int64_t> ShapeOf(const Input& input) {
  return {input.shape().begin(), input.shape().end()};
}

// The number of elements, if the extents are not negative and their product fits.
Result<int64_t> CountElements(const Input& input) {
  if (input.shape_size() > kMostDimensions) {
    return Invalid("input '" + input.name() + "' has " + std::to_string(input.shape_size()) +
                   " dimensions; " + std::to_string(kMostDimensions) + " are the most");
  }
  constexpr int64_t kMostElements = std::numeric_limits<int64_t>::max() / 8;
  int64_t count = 1;
  bool is_empty = false;
  for (const int64_t extent : input.shape()) {
    if (extent < 0) {
      return Invalid("input '" + input.name() + "' has shape " + ShapeText(ShapeOf(input)) +
                     "; no extent may be negative");
    }
    is_empty = is_empty || extent == 0;
    if (extent > 0 && count > kMostElements / extent) {
      return Invalid("input '" + input.name() + "' has shape " + ShapeText(ShapeOf(input)) +
                     ", which overflows");
    }
    count *= std::max<int64_t>(extent, 1);
  }
  return is_empty ? 0 : count;
}

bool Fits(const std::vector<int64_t>& shape, const std::vector<int64_t>& expected) {
  return std::equal(
      shape.begin(), shape.end(), expected.begin(), expected.end(),
      [](int64_t extent, int64_t wanted) { return wanted == -1 || extent == wanted; });
}

Status CheckAgainst(const TensorSpec& spec, const Input& input) {
  if (!spec.datatype.empty() && input.datatype() != spec.datatype) {
    return Invalid("input '" + spec.name + "' has datatype " + input.datatype() + "; " +
                   spec.datatype + " is expected");
  }
  if (spec.shape && !Fits(ShapeOf(input), *spec.shape)) {
    return Invalid("input '" + spec.name + "' has shape " + ShapeText(ShapeOf(input)) + "; " +
                   ShapeText(*spec.shape) + " is expected, where -1 is any extent");
  }
  return {};
}

Status CheckNames(const ModelInferRequest& request, const Manifest& manifest) {
  for (const TensorSpec& spec : manifest.inputs) {
    const auto found = std::find_if(request.inputs().begin(), request.inputs().end(),
                                    [&](const Input& input) { return input.name() == spec.name; });
    if (found == request.inputs().end()) {
      return Invalid("input '" + spec.name + "' is missing");
    }
    if (Status status = CheckAgainst(spec, *found); !status.ok()) {
      return status;
    }
  }
  for (const Input& input : request.inputs()) {
    const auto is_named = [&](const TensorSpec& spec) { return spec.name == input.name(); };
    if (std::none_of(manifest.inputs.begin(), manifest.inputs.end(), is_named)) {
      return Invalid("input '" + input.name() + "' is unknown; the model takes: " +
                     JoinNames(manifest.inputs, &TensorSpec::name));
    }
  }
  return {};
}

Status CheckInputs(const ModelInferRequest& request) {
  if (request.inputs_size() > kMostInputs) {
    return Invalid("the request has " + std::to_string(request.inputs_size()) + " inputs; " +
                   std::to_string(kMostInputs) + " are the most");
  }
  std::set<std::string> names;
  for (const Input& input : request.inputs()) {
    if (!names.insert(input.name()).second) {
      return Invalid("input '" + input.name() + "' is given twice");
    }
  }
  return {};
}

// Shapes such as [1000000000, 0] and [1, 1, ... 1] take few bytes on the wire, or four for each
// element, and as lists many times as much.
constexpr int64_t kMostSpareLists = 1 << 20;

bool AreFewLists(const std::vector<int64_t>& shape, size_t elements) {
  const int64_t most = kMostSpareLists + 2 * static_cast<int64_t>(elements);
  int64_t lists = 0;
  int64_t lists_at_depth = 1;
  for (const int64_t extent : shape) {
    lists += lists_at_depth;
    if (extent == 0) {
      break;
    }
    if (extent > most / lists_at_depth) {
      return false;
    }
    lists_at_depth *= extent;
  }
  return lists <= most;
}

Status CheckBooleans(const Input& input, std::string_view raw) {
  const auto found =
      std::find_if(raw.begin(), raw.end(), [](char byte) { return byte != 0 && byte != 1; });
  if (found == raw.end()) {
    return {};
  }
  return Invalid("input '" + input.name() + "' holds byte " +
                 std::to_string(static_cast<unsigned char>(*found)) + " as element " +
                 std::to_string(found - raw.begin()) + "; BOOL is 0 or 1");
}

Result<Value> BytesValue(const Input& input, std::vector<std::string> elements) {
  if (!AreFewLists(ShapeOf(input), elements.size())) {
    return Invalid("input '" + input.name() + "' has shape " + ShapeText(ShapeOf(input)) +
                   "; besides two for each element, a BYTES tensor may have " +
                   std::to_string(kMostSpareLists) + " lists at most");
  }
  return NestByteStrings(std::move(elements), ShapeOf(input));
}

Result<Value> DecodeBytes(const Input& input, const std::optional<RawContents>& raw,
                          int64_t count) {
  if (raw.has_value()) {
    Result<std::vector<std::string>> elements = SplitByteStrings(raw->bytes, count);
    if (!elements.ok()) {
      return Invalid("input '" + input.name() + "' of shape " + ShapeText(ShapeOf(input)) + ": " +
                     elements.status().message());
    }
    return BytesValue(input, *std::move(elements));
  }
  const auto& contents = input.contents().bytes_contents();
  if (contents.size() != count) {
    return Invalid("input '" + input.name() + "' has " + std::to_string(contents.size()) +
                   " elements in bytes_contents; its shape holds " + std::to_string(count));
  }
  return BytesValue(input, {contents.begin(), contents.end()});
}

Result<Tensor> ViewRaw(const Input& input, const RawContents& raw, DLDataType type,
                       uint64_t expected_bytes) {
  if (raw.bytes.size() != expected_bytes) {
    return Invalid("input '" + input.name() + "' has " + std::to_string(raw.bytes.size()) +
                   " bytes of raw contents; " + input.datatype() + " of shape " +
                   ShapeText(ShapeOf(input)) + " takes " + std::to_string(expected_bytes));
  }
  if (type.code == kDLBool) {
    if (Status status = CheckBooleans(input, raw.bytes); !status.ok()) {
      return status;
    }
  }
  // The model may write to its input: the contents are ours and nobody reads them again.
  void* data = const_cast<char*>(raw.bytes.data());
  return Tensor::View(data, type, ShapeOf(input), raw.owner);
}

Result<Value> DecodeTensor(const Input& input, DLDataType type, int64_t count,
                           RawContentsReader& contents) {
  const uint64_t expected_bytes = static_cast<uint64_t>(count) * ElementSizeBytes(type);
  const Result<std::optional<RawContents>> found = contents.Next(input, expected_bytes);
  if (!found.ok()) {
    return found.status();
  }
  const std::optional<RawContents>& raw = *found;
  Result<Tensor> tensor = raw.has_value() ? ViewRaw(input, *raw, type, expected_bytes)
                                          : TensorOfTypedContents(input, type, count);
  return tensor.ok() ? Result<Value>(Value(*std::move(tensor))) : Result<Value>(tensor.status());
}

Result<Value> DecodeInput(const Input& input, RawContentsReader& contents) {
  const std::optional<DLDataType> type = DataTypeNamed(input.datatype());
  if (!type && input.datatype() != kBytes) {
    return Invalid("input '" + input.name() + "' has datatype '" + input.datatype() +
                   "'; one of these is expected: " + DatatypeNames());
  }
  const Result<int64_t> count = CountElements(input);
  if (!count.ok()) {
    return count.status();
  }
  if (type) {
    return DecodeTensor(input, *type, *count, contents);
  }
  const Result<std::optional<RawContents>> raw = contents.Next(input, {});
  return raw.ok() ? DecodeBytes(input, *raw, *count) : raw.status();
}

// The index in "INPUT__7"; nothing for other names.
std::optional<size_t> PositionOf(const std::string& name) {
  const std::string prefix = kPositionalPrefix;
  constexpr size_t kMostDigits = 3;
  if (!name.starts_with(prefix) || name.size() > prefix.size() + kMostDigits) {
    return std::nullopt;
  }
  size_t position = 0;
  for (const char digit : name.substr(prefix.size())) {
    if (digit < '0' || digit > '9') {
      return std::nullopt;
    }
    position = position * 10 + static_cast<size_t>(digit - '0');
  }
  // One name for each position: "INPUT__07" is none.
  return name == prefix + std::to_string(position) ? std::optional(position) : std::nullopt;
}

bool ArePositional(const ModelInferRequest& request) {
  const auto count = static_cast<size_t>(request.inputs_size());
  return std::all_of(request.inputs().begin(), request.inputs().end(), [&](const Input& input) {
    const auto position = PositionOf(input.name());
    return position && *position < count;
  });
}

}  // namespace

Result<Arguments> DecodeRequest(const std::shared_ptr<const ModelInferRequest>& request,
                                const std::optional<Manifest>& manifest,
                                const SharedMemoryRegions& regions) {
  RawContentsReader contents(request, regions);
  Status status = CheckInputs(*request);
  if (status.ok() && manifest) {
    status = CheckNames(*request, *manifest);
  }
  if (status.ok()) {
    status = contents.Check();
  }
  if (!status.ok()) {
    return status;
  }
  const bool is_positional = !manifest && ArePositional(*request);
  Arguments arguments;
  arguments.positional.resize(is_positional ? static_cast<size_t>(request->inputs_size()) : 0);
  for (const Input& input : request->inputs()) {
    Result<Value> value = DecodeInput(input, contents);
    if (!value.ok()) {
      return value.status();
    }
    const std::string& name = input.name();
    if (const auto position = PositionOf(name); is_positional && position) {
      arguments.positional[*position] = *std::move(value);
    } else {
      arguments.keywords.emplace_back(name, *std::move(value));
    }
  }
  return arguments;
}

}  // namespace torchdeploy::server
