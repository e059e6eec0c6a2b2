#include "server/padding.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>

#include <dlpack/dlpack.h>

#include "server/arguments.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

constexpr DLDataType kInt64{kDLInt, 64, 1};

Result<Tensor> Repeated(int64_t number, int64_t rows) {
  Result<Tensor> tensor = Tensor::Allocate(kInt64, {rows});
  if (tensor.ok()) {
    std::fill_n(static_cast<int64_t*>(tensor->data()), rows, number);
  }
  return tensor;
}

}  // namespace

const PaddedInput* FindPadding(const Padding& padding, const std::string& name,
                               const Value& value) {
  const auto found = padding.inputs.find(name);
  const auto* const tensor = value.get<Tensor>();
  if (found == padding.inputs.end() || tensor == nullptr) {
    return nullptr;
  }
  const PaddedInput& padded = found->second;
  const bool fits = static_cast<size_t>(padded.dimension) < tensor->shape().size() &&
                    ElementSizeBytes(tensor->dtype()) == padded.element.size() &&
                    tensor->is_contiguous();
  return fits ? &padded : nullptr;
}

int64_t OwnExtent(const PaddedInput& padded, const Value& value) {
  return value.get<Tensor>()->shape()[static_cast<size_t>(padded.dimension)];
}

Status AddLengths(const Padding& padding, Arguments& arguments) {
  Kwargs lengths;
  for (const auto& [name, value] : arguments.keywords) {
    const PaddedInput* const padded = FindPadding(padding, name, value);
    if (padded == nullptr || padded->lengths.empty()) {
      continue;
    }
    Result<Tensor> filled =
        Repeated(OwnExtent(*padded, value), value.get<Tensor>()->shape().front());
    if (!filled.ok()) {
      return filled.status();
    }
    lengths.emplace_back(padded->lengths, *std::move(filled));
  }
  std::move(lengths.begin(), lengths.end(), std::back_inserter(arguments.keywords));
  return {};
}

}  // namespace torchdeploy::server
