#include "server/response_encoder.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "server/byte_strings.h"
#include "server/datatype.h"
#include "server/name_list.h"
#include "server/named_outputs.h"
#include "server/shared_memory_regions.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;

// Protobuf's limit is 2 GiB - 1; the descriptions of the outputs need some of it.
constexpr size_t kMostMessageBytes = std::numeric_limits<int32_t>::max() - (size_t{1} << 16);
constexpr size_t kMostBytes = std::numeric_limits<int32_t>::max() - (size_t{1} << 20);

class OutputEncoder {
 public:
  // `slice`: where the client wants it; null for the response itself.
  OutputEncoder(std::string name, const MemorySlice* slice, ModelInferResponse* response)
      : name_(std::move(name)), slice_(slice), response_(response) {}

  Status Encode(const Value& value) {
    if (const auto* tensor = value.get<Tensor>()) {
      return EncodeTensor(*tensor);
    }
    if (const auto* boolean = value.get<bool>()) {
      return EncodeNumber("BOOL", *boolean);
    }
    if (const auto* integer = value.get<int64_t>()) {
      return EncodeNumber("INT64", *integer);
    }
    if (const auto* real = value.get<double>()) {
      return EncodeNumber("FP64", *real);
    }
    if (value.is<List>() || value.is<std::string>() || value.is<Bytes>()) {
      return EncodeBytes(value);
    }
    return Refuse("is neither a tensor nor a number nor text");
  }

 private:
  using Output = ModelInferResponse::InferOutputTensor;

  [[nodiscard]] Status Refuse(const std::string& why) const {
    return {Code::kInternal, "output '" + name_ + "' cannot be sent: it " + why};
  }

  Output* Add(std::string_view datatype, std::span<const int64_t> shape) {
    Output* output = response_->add_outputs();
    output->set_name(name_);
    output->set_datatype(std::string(datatype));
    output->mutable_shape()->Add(shape.begin(), shape.end());
    return output;
  }

  Status EncodeTensor(const Tensor& tensor) {
    const std::optional<std::string_view> datatype = NameOf(tensor.dtype());
    if (!datatype) {
      return Refuse("is " + Describe(tensor.dtype()) + ", for which the protocol has no datatype");
    }
    if (tensor.device().device_type != kDLCPU) {
      return Refuse("is not in CPU memory: return tensor.cpu()");
    }
    Output* output = Add(*datatype, tensor.shape());
    if (slice_ == nullptr) {
      std::string* raw = response_->add_raw_output_contents();
      raw->resize(tensor.size_bytes());
      tensor.CopyTo(std::as_writable_bytes(std::span(*raw)));
      return {};
    }
    const Result<Tensor> rows = tensor.is_contiguous() ? tensor : tensor.Clone();
    if (!rows.ok()) {
      return rows.status();
    }
    return Share({static_cast<const std::byte*>(rows->data()), rows->size_bytes()}, output);
  }

  template <typename T>
  Status EncodeNumber(const char* datatype, T number) {
    return Put(std::string(reinterpret_cast<const char*>(&number), sizeof number),
               Add(datatype, {}));
  }

  Status EncodeBytes(const Value& value) {
    std::vector<int64_t> shape;
    std::string raw;
    if (Status status = JoinByteStrings(value, shape, raw); !status.ok()) {
      return Refuse("is no BYTES tensor: " + status.message());
    }
    if (!value.is<List>()) {
      shape = {1};  // Stock clients cannot read a BYTES tensor of shape [].
    }
    return Put(std::move(raw), Add(kBytes, shape));
  }

  Status Put(std::string raw, Output* output) {
    if (slice_ != nullptr) {
      return Share(std::as_bytes(std::span(raw)), output);
    }
    *response_->add_raw_output_contents() = std::move(raw);
    return {};
  }

  Status Share(std::span<const std::byte> bytes, Output* output) {
    if (bytes.size() > slice_->size_bytes) {
      return {Code::kInvalidArgument, "output '" + name_ + "' has " + std::to_string(bytes.size()) +
                                          " bytes; its part of shared memory region '" +
                                          slice_->region_name + "' has " +
                                          std::to_string(slice_->size_bytes)};
    }
    auto& parameters = *output->mutable_parameters();
    parameters[kRegionParameter].set_string_param(slice_->region_name);
    parameters[kOffsetParameter].set_int64_param(static_cast<int64_t>(slice_->offset));
    parameters[kSizeParameter].set_int64_param(static_cast<int64_t>(bytes.size()));
    response_->add_raw_output_contents();  // Empty: clients count one for each output.
    const Status written = slice_->region->Write(slice_->offset, bytes);
    return written.ok() ? written
                        : Status(written.code(), "output '" + name_ + "': " + written.message());
  }

  const std::string name_;
  const MemorySlice* const slice_;
  ModelInferResponse* const response_;
};

using Outputs = std::vector<std::pair<std::string, const Value*>>;

// Requests and results may have very many of them.
using Names = std::unordered_set<std::string_view>;

Names RequestedNames(const ModelInferRequest& request) {
  Names names;
  for (const auto& output : request.outputs()) {
    names.insert(output.name());
  }
  return names;
}

bool IsRequested(const Names& requested, const std::string& name) {
  return requested.empty() || requested.contains(name);
}

Status CheckRequested(const ModelInferRequest& request, const Outputs& outputs) {
  const auto given = std::views::keys(outputs);
  const Names names(given.begin(), given.end());
  for (const auto& requested : request.outputs()) {
    if (!names.contains(requested.name())) {
      return {Code::kInvalidArgument,
              "output '" + requested.name() + "' is unknown; the model gives: " + JoinNames(given)};
    }
  }
  return {};
}

// What the value's contents take at most.
size_t ContentsBytes(const Value& value) {
  if (const auto* tensor = value.get<Tensor>()) {
    return tensor->size_bytes();
  }
  if (const List* items = value.get<List>()) {
    return std::accumulate(items->begin(), items->end(), size_t{0},
                           [](size_t sum, const Value& item) { return sum + ContentsBytes(item); });
  }
  const auto* text = value.get<std::string>();
  const auto* bytes = value.get<Bytes>();
  const size_t length = text != nullptr ? text->size() : bytes != nullptr ? bytes->data.size() : 0;
  return sizeof(int64_t) + length;  // A number, or text behind its length.
}

// Each name once, and not more bytes than a message can have.
Status CheckOutputs(const Names& requested, const OutputSlices& slices, const Outputs& outputs) {
  Names names;
  size_t size_bytes = 0;
  for (const auto& [name, value] : outputs) {
    if (!names.insert(name).second) {
      return {Code::kInternal, "output '" + name + "' cannot be sent: two have this name"};
    }
    size_bytes +=
        IsRequested(requested, name) && !slices.contains(name) ? ContentsBytes(*value) : 0;
    if (size_bytes > kMostBytes) {
      return {Code::kResourceExhausted, "output '" + name + "' cannot be sent: with it there are " +
                                            std::to_string(size_bytes) +
                                            " bytes, and a response holds " +
                                            std::to_string(kMostBytes)};
    }
  }
  return {};
}

}  // namespace

Status EncodeResponse(const Value& result, std::span<const TensorSpec> declared,
                      const ModelInferRequest& request, const OutputSlices& slices,
                      ModelInferResponse* response) {
  const Outputs outputs = NameOutputs(result, declared);
  if (Status status = CheckRequested(request, outputs); !status.ok()) {
    return status;
  }
  const Names requested = RequestedNames(request);
  if (Status status = CheckOutputs(requested, slices, outputs); !status.ok()) {
    return status;
  }
  for (const auto& [name, value] : outputs) {
    if (!IsRequested(requested, name)) {
      continue;
    }
    const auto slice = slices.find(name);
    OutputEncoder encoder(name, slice == slices.end() ? nullptr : &slice->second, response);
    if (Status status = encoder.Encode(*value); !status.ok()) {
      return status;
    }
  }
  if (response->ByteSizeLong() > kMostMessageBytes) {  // Names and shapes can be long, too.
    return {Code::kResourceExhausted, "the outputs, with their names and shapes, are more than " +
                                          std::to_string(kMostMessageBytes) + " bytes"};
  }
  return {};
}

}  // namespace torchdeploy::server
