#include "server/byte_strings.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

constexpr size_t kLengthBytes = 4;

uint32_t ReadLength(std::string_view raw) {
  uint32_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= uint32_t{static_cast<unsigned char>(raw[i])} << (8 * i);
  }
  return length;
}

Status AppendElement(std::string_view element, std::string& raw) {
  if (element.size() > std::numeric_limits<uint32_t>::max()) {
    return {Code::kInvalidArgument, "an element of " + std::to_string(element.size()) +
                                        " bytes does not fit a BYTES tensor"};
  }
  for (size_t i = 0; i < kLengthBytes; ++i) {
    raw.push_back(static_cast<char>(element.size() >> (8 * i)));
  }
  raw.append(element);
  return {};
}

Value Nest(std::vector<std::string>& elements, size_t& next, const std::vector<int64_t>& shape,
           size_t dimension) {
  if (dimension == shape.size()) {
    return Bytes{std::move(elements[next++])};
  }
  List items;
  items.reserve(static_cast<size_t>(shape[dimension]));
  for (int64_t i = 0; i < shape[dimension]; ++i) {
    items.push_back(Nest(elements, next, shape, dimension + 1));
  }
  return items;
}

Status Join(const Value& value, size_t dimension, std::vector<int64_t>& shape, std::string& raw) {
  const List* items = value.get<List>();
  if (items == nullptr) {
    if (dimension != shape.size()) {
      return {Code::kInvalidArgument, "it mixes text and lists at one depth"};
    }
    const auto* bytes = value.get<Bytes>();
    const auto* text = bytes != nullptr ? &bytes->data : value.get<std::string>();
    return text != nullptr ? AppendElement(*text, raw)
                           : Status(Code::kInvalidArgument, "it holds what is no text");
  }
  if (dimension >= shape.size() || static_cast<int64_t>(items->size()) != shape[dimension]) {
    return {Code::kInvalidArgument, "its lists are not of equal length"};
  }
  for (const Value& item : *items) {
    if (Status status = Join(item, dimension + 1, shape, raw); !status.ok()) {
      return status;
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> SplitByteStrings(std::string_view raw, int64_t count) {
  std::vector<std::string> elements;
  for (int64_t i = 0; i < count && !raw.empty(); ++i) {
    if (raw.size() < kLengthBytes || raw.size() - kLengthBytes < ReadLength(raw)) {
      return Status(Code::kInvalidArgument, "the length of element " + std::to_string(i) +
                                                " runs past the end of the raw contents");
    }
    const uint32_t length = ReadLength(raw);
    elements.emplace_back(raw.substr(kLengthBytes, length));
    raw.remove_prefix(kLengthBytes + length);
  }
  if (!raw.empty() || std::cmp_not_equal(elements.size(), count)) {
    return Status(Code::kInvalidArgument,
                  "there are " + std::string(raw.empty() ? "" : "more than ") +
                      std::to_string(elements.size()) +
                      " elements in the raw contents; the shape holds " + std::to_string(count));
  }
  return elements;
}

Value NestByteStrings(std::vector<std::string> elements, const std::vector<int64_t>& shape) {
  size_t next = 0;
  return Nest(elements, next, shape, 0);
}

bool IsByteStrings(const Value& value) {
  if (const List* items = value.get<List>()) {
    return !items->empty() && std::all_of(items->begin(), items->end(), IsByteStrings);
  }
  return value.is<std::string>() || value.is<Bytes>();
}

Status JoinByteStrings(const Value& value, std::vector<int64_t>& shape, std::string& raw) {
  for (const List* part = value.get<List>(); part != nullptr;
       part = part->empty() ? nullptr : part->front().get<List>()) {
    shape.push_back(static_cast<int64_t>(part->size()));
  }
  return Join(value, 0, shape, raw);
}

}  // namespace torchdeploy::server
