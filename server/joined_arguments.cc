#include "server/joined_arguments.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "server/arguments.h"
#include "server/byte_strings.h"
#include "server/padded_tensors.h"
#include "server/padding.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

// Of one input; as much as a request can bring. Few rows could make those of many as long.
constexpr size_t kMostPaddedBytes = size_t{1} << 31;

std::string KindOf(const Tensor& tensor, const PaddedInput* padded) {
  const DLDataType dtype = tensor.dtype();
  std::string kind = std::to_string(dtype.code).append("/").append(std::to_string(dtype.bits));
  for (size_t i = 1; i < tensor.shape().size(); ++i) {
    const bool is_padded = padded != nullptr && i == static_cast<size_t>(padded->dimension);
    kind.append(",").append(is_padded ? "*" : std::to_string(tensor.shape()[i]));
  }
  return kind;
}

// Of the elements of a list that is a BYTES tensor, whose lists are of equal lengths.
std::string KindOf(const List& list) {
  std::string kind = "bytes";
  for (const List* inner = list.front().get<List>(); inner != nullptr;
       inner = inner->empty() ? nullptr : inner->front().get<List>()) {
    kind.append(",").append(std::to_string(inner->size()));
  }
  return kind;
}

// Nothing for a value without rows.
std::optional<Rows> RowsOf(const Value& value, const PaddedInput* padded) {
  if (const auto* tensor = value.get<Tensor>()) {
    const bool has_rows = !tensor->shape().empty() && tensor->shape().front() > 0 &&
                          tensor->device().device_type == kDLCPU &&
                          ElementSizeBytes(tensor->dtype()) > 0;
    return has_rows ? std::optional(Rows{tensor->shape().front(), KindOf(*tensor, padded)})
                    : std::nullopt;
  }
  const auto* list = value.get<List>();
  if (list == nullptr || list->empty()) {
    return std::nullopt;
  }
  return Rows{static_cast<int64_t>(list->size()), KindOf(*list)};
}

// Those of all arguments of a request, one after the other.
class RowsReader {
 public:
  explicit RowsReader(const Padding& padding) : padding_(padding) {}

  // False when the argument does not go together with those before it.
  bool Add(const std::string& name, const Value& value) {
    const PaddedInput* const padded = FindPadding(padding_, name, value);
    const std::optional<Rows> rows = RowsOf(value, padded);
    if (!rows.has_value() || (all_.count != 0 && rows->count != all_.count)) {
      return false;
    }
    all_.count = rows->count;
    // With its length, as a name may have any characters.
    all_.kind += std::to_string(name.size()) + ":" + name + ":" + rows->kind + ";";
    if (padded != nullptr) {
      all_.kind += FirstAsLong(OwnExtent(*padded, value));
    }
    return true;
  }

  [[nodiscard]] std::optional<Rows> Take() {
    return all_.count == 0 ? std::nullopt : std::optional(std::move(all_));
  }

 private:
  // Which padded argument is the first of this extent. Two that are to be equal, such as ids and
  // their mask, would be made so by the padding even where a request has them different.
  std::string FirstAsLong(int64_t extent) {
    const auto first = std::find(extents_.begin(), extents_.end(), extent) - extents_.begin();
    extents_.push_back(extent);
    return std::to_string(first) + ";";
  }

  const Padding& padding_;
  Rows all_;
  std::vector<int64_t> extents_;
};

// What the rows of all `values` take when each is as long as the longest.
size_t PaddedBytes(std::span<const Value* const> values, int64_t rows) {
  size_t longest = 0;
  for (const Value* value : values) {
    const Tensor& tensor = *value->get<Tensor>();
    longest = std::max(longest, tensor.size_bytes() / static_cast<size_t>(tensor.shape().front()));
  }
  return longest * static_cast<size_t>(rows);
}

void CopyRows(const Tensor& tensor, const PaddedInput* padded, int64_t longest,
              std::span<std::byte> out) {
  if (out.size() == tensor.size_bytes()) {
    tensor.CopyTo(out);
  } else {
    CopyPadded(tensor, padded->dimension, longest, padded->element, out);
  }
}

Result<Value> JoinTensors(std::span<const Value* const> values, const PaddedInput* padded) {
  const Tensor& first = *values.front()->get<Tensor>();
  std::vector<int64_t> shape(first.shape().begin(), first.shape().end());
  shape.front() = 0;
  int64_t longest = 0;
  for (const Value* value : values) {
    shape.front() += value->get<Tensor>()->shape().front();
    longest = padded == nullptr ? 0 : std::max(longest, OwnExtent(*padded, *value));
  }
  const auto rows = static_cast<size_t>(shape.front());
  if (padded != nullptr) {
    shape[static_cast<size_t>(padded->dimension)] = longest;
    if (const size_t bytes = PaddedBytes(values, shape.front()); bytes > kMostPaddedBytes) {
      return Status(Code::kResourceExhausted,
                    "padded inputs of joined requests would take " + std::to_string(bytes) +
                        " bytes; " + std::to_string(kMostPaddedBytes) + " are the most");
    }
  }
  Result<Tensor> joined = Tensor::Allocate(first.dtype(), std::move(shape));
  if (!joined.ok()) {
    return joined.status();
  }
  std::span<std::byte> out(static_cast<std::byte*>(joined->data()), joined->size_bytes());
  const size_t row_bytes = out.size() / rows;
  for (const Value* value : values) {
    const Tensor& tensor = *value->get<Tensor>();
    const size_t bytes = row_bytes * static_cast<size_t>(tensor.shape().front());
    CopyRows(tensor, padded, longest, out.first(bytes));
    out = out.subspan(bytes);
  }
  return Value(*std::move(joined));
}

Result<Value> JoinValues(std::span<const Value* const> values, const PaddedInput* padded) {
  if (values.front()->is<Tensor>()) {
    return JoinTensors(values, padded);
  }
  List joined;
  for (const Value* value : values) {
    const List& list = *value->get<List>();
    joined.insert(joined.end(), list.begin(), list.end());
  }
  return Value(std::move(joined));
}

// Whether there is nothing but text in it, in lists of any lengths.
bool IsTextAtMost(const Value& value) {
  const List* list = value.get<List>();
  return list == nullptr ? IsByteStrings(value)
                         : std::all_of(list->begin(), list->end(), IsTextAtMost);
}

// `value_of` gives the argument of one request.
template <typename ValueOf>
Result<Value> JoinEach(std::span<const Arguments* const> requests, const std::string& name,
                       const Padding& padding, ValueOf value_of) {
  std::vector<const Value*> values;
  values.reserve(requests.size());
  for (const Arguments* request : requests) {
    values.push_back(value_of(*request));
  }
  return JoinValues(values, FindPadding(padding, name, *values.front()));
}

// Gives each request its rows of one part of a result.
class Splitter {
 public:
  explicit Splitter(std::span<const int64_t> rows)
      : rows_(rows), total_(std::accumulate(rows.begin(), rows.end(), int64_t{0})) {}

  [[nodiscard]] Result<std::vector<Value>> Split(const Value& value) const {
    if (const auto* tensor = value.get<Tensor>()) {
      return SplitTensor(*tensor);
    }
    if (const auto* dict = value.get<Dict>()) {
      return SplitDict(*dict);
    }
    if (const auto* tuple = value.get<Tuple>()) {
      return SplitItems<Tuple>(tuple->items);
    }
    if (const auto* list = value.get<List>()) {
      return AreRows(value, *list) ? SplitRows(*list) : SplitItems<List>(*list);
    }
    if (value.is<None>()) {
      return std::vector<Value>(rows_.size());
    }
    return NoRows("a number or a text");
  }

 private:
  // Rows of text may also have no elements: [["a"], []]. Of another number they are outputs, each
  // of which is empty.
  [[nodiscard]] bool AreRows(const Value& value, const List& list) const {
    return IsByteStrings(value) ||
           (static_cast<int64_t>(list.size()) == total_ && IsTextAtMost(value));
  }

  [[nodiscard]] Status NoRows(const std::string& what) const {
    return {Code::kInternal, "the result of " + std::to_string(rows_.size()) +
                                 " joined requests holds " + what + "; tensors and lists of " +
                                 std::to_string(total_) + " rows are expected"};
  }

  [[nodiscard]] Result<std::vector<Value>> SplitTensor(const Tensor& tensor) const {
    if (tensor.shape().empty() || tensor.shape().front() != total_) {
      return NoRows(tensor.shape().empty()
                        ? "a tensor of shape []"
                        : "a tensor of " + std::to_string(tensor.shape().front()) + " rows");
    }
    if (tensor.device().device_type != kDLCPU || ElementSizeBytes(tensor.dtype()) == 0) {
      return NoRows("a tensor that is not on the CPU or packed");
    }
    const Result<Tensor> whole = tensor.is_contiguous() ? tensor : tensor.Clone();
    if (!whole.ok()) {
      return whole.status();
    }
    const auto owner = std::make_shared<const Tensor>(*whole);
    const size_t row_bytes = whole->size_bytes() / static_cast<size_t>(total_);
    std::vector<int64_t> shape(whole->shape().begin(), whole->shape().end());
    auto* data = static_cast<std::byte*>(whole->data());
    std::vector<Value> parts;
    for (const int64_t count : rows_) {
      shape.front() = count;
      parts.emplace_back(Tensor::View(data, whole->dtype(), shape, owner));
      // Of tensors without elements there is no address to count on from.
      data = data == nullptr ? nullptr : data + row_bytes * static_cast<size_t>(count);
    }
    return parts;
  }

  [[nodiscard]] Result<std::vector<Value>> SplitRows(const List& list) const {
    if (static_cast<int64_t>(list.size()) != total_) {
      return NoRows("a list of " + std::to_string(list.size()) + " texts");
    }
    std::vector<Value> parts;
    auto next = list.begin();
    for (const int64_t count : rows_) {
      parts.emplace_back(List(next, next + count));
      next += count;
    }
    return parts;
  }

  template <typename Container>
  [[nodiscard]] Result<std::vector<Value>> SplitItems(const std::vector<Value>& items) const {
    std::vector<std::vector<Value>> parts(rows_.size());
    for (const Value& item : items) {
      Result<std::vector<Value>> split = Split(item);
      if (!split.ok()) {
        return split.status();
      }
      for (size_t i = 0; i < parts.size(); ++i) {
        parts[i].push_back(std::move((*split)[i]));
      }
    }
    std::vector<Value> made;
    made.reserve(parts.size());
    for (std::vector<Value>& part : parts) {
      made.emplace_back(Container(std::move(part)));
    }
    return made;
  }

  [[nodiscard]] Result<std::vector<Value>> SplitDict(const Dict& dict) const {
    std::vector<Dict> parts(rows_.size());
    for (const auto& [key, item] : dict) {
      Result<std::vector<Value>> split = Split(item);
      if (!split.ok()) {
        return split.status();
      }
      for (size_t i = 0; i < parts.size(); ++i) {
        parts[i].emplace_back(key, std::move((*split)[i]));
      }
    }
    return std::vector<Value>(std::make_move_iterator(parts.begin()),
                              std::make_move_iterator(parts.end()));
  }

  const std::span<const int64_t> rows_;
  const int64_t total_;
};

}  // namespace

std::optional<Rows> RowsOf(const Arguments& arguments, const Padding& padding) {
  RowsReader reader(padding);
  for (const Value& value : arguments.positional) {
    if (!reader.Add("", value)) {
      return std::nullopt;
    }
  }
  for (const auto& [name, value] : arguments.keywords) {
    if (!reader.Add(name, value)) {
      return std::nullopt;
    }
  }
  return reader.Take();
}

Result<Arguments> JoinArguments(std::span<const Arguments* const> requests,
                                const Padding& padding) {
  const Arguments& first = *requests.front();
  Arguments joined;
  for (size_t i = 0; i < first.positional.size(); ++i) {
    Result<Value> value =
        JoinEach(requests, "", padding, [i](const Arguments& each) { return &each.positional[i]; });
    if (!value.ok()) {
      return value.status();
    }
    joined.positional.push_back(*std::move(value));
  }
  for (size_t i = 0; i < first.keywords.size(); ++i) {
    const std::string& name = first.keywords[i].first;
    Result<Value> value = JoinEach(requests, name, padding,
                                   [i](const Arguments& each) { return &each.keywords[i].second; });
    if (!value.ok()) {
      return value.status();
    }
    joined.keywords.emplace_back(name, *std::move(value));
  }
  return joined;
}

Result<std::vector<Value>> SplitResult(const Value& result, std::span<const int64_t> rows) {
  return Splitter(rows).Split(result);
}

}  // namespace torchdeploy::server
