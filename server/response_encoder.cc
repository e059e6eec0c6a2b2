#include "server/response_encoder.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/byte_strings.h"
#include "server/datatype.h"
#include "server/name_list.h"
#include "server/named_outputs.h"
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
constexpr size_t kMostBytes = std::numeric_limits<int32_t>::max() - (size_t{1} << 20);

class OutputEncoder {
 public:
  OutputEncoder(std::string name, ModelInferResponse* response)
      : name_(std::move(name)), response_(response) {}

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
  [[nodiscard]] Status Refuse(const std::string& why) const {
    return {Code::kInternal, "output '" + name_ + "' cannot be sent: it " + why};
  }

  // Adds the output's description and returns its raw contents, yet empty.
  std::string* Add(std::string_view datatype, std::span<const int64_t> shape) {
    ModelInferResponse::InferOutputTensor* output = response_->add_outputs();
    output->set_name(name_);
    output->set_datatype(std::string(datatype));
    output->mutable_shape()->Add(shape.begin(), shape.end());
    return response_->add_raw_output_contents();
  }

  Status EncodeTensor(const Tensor& tensor) {
    const std::optional<std::string_view> datatype = NameOf(tensor.dtype());
    if (!datatype) {
      return Refuse("is " + Describe(tensor.dtype()) + ", for which the protocol has no datatype");
    }
    if (tensor.device().device_type != kDLCPU) {
      return Refuse("is not in CPU memory: return tensor.cpu()");
    }
    std::string* raw = Add(*datatype, tensor.shape());
    raw->resize(tensor.size_bytes());
    tensor.CopyTo(std::as_writable_bytes(std::span(*raw)));
    return {};
  }

  template <typename T>
  Status EncodeNumber(const char* datatype, T number) {
    Add(datatype, {})->assign(reinterpret_cast<const char*>(&number), sizeof number);
    return {};
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
    *Add(kBytes, shape) = std::move(raw);
    return {};
  }

  const std::string name_;
  ModelInferResponse* const response_;
};

bool IsRequested(const ModelInferRequest& request, const std::string& name) {
  return request.outputs().empty() ||
         std::any_of(request.outputs().begin(), request.outputs().end(),
                     [&](const auto& output) { return output.name() == name; });
}

Status CheckRequested(const ModelInferRequest& request,
                      const std::vector<std::pair<std::string, const Value*>>& outputs) {
  for (const auto& requested : request.outputs()) {
    const auto is_named = [&](const auto& output) { return output.first == requested.name(); };
    if (std::none_of(outputs.begin(), outputs.end(), is_named)) {
      return {Code::kInvalidArgument,
              "output '" + requested.name() +
                  "' is unknown; the model gives: " + JoinNames(std::views::keys(outputs))};
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
Status CheckOutputs(const ModelInferRequest& request,
                    const std::vector<std::pair<std::string, const Value*>>& outputs) {
  std::set<std::string> names;
  size_t size_bytes = 0;
  for (const auto& [name, value] : outputs) {
    if (!names.insert(name).second) {
      return {Code::kInternal, "output '" + name + "' cannot be sent: two have this name"};
    }
    size_bytes += IsRequested(request, name) ? ContentsBytes(*value) : 0;
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
                      const ModelInferRequest& request, ModelInferResponse* response) {
  const std::vector<std::pair<std::string, const Value*>> outputs = NameOutputs(result, declared);
  if (Status status = CheckRequested(request, outputs); !status.ok()) {
    return status;
  }
  if (Status status = CheckOutputs(request, outputs); !status.ok()) {
    return status;
  }
  for (const auto& [name, value] : outputs) {
    if (!IsRequested(request, name)) {
      continue;
    }
    if (Status status = OutputEncoder(name, response).Encode(*value); !status.ok()) {
      return status;
    }
  }
  return {};
}

}  // namespace torchdeploy::server
