#include "tests/fuzz/input_contents.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/datatype.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::fuzz {

namespace {

using inference::InferParameter;
using inference::InferTensorContents;
using Input = inference::ModelInferRequest::InferInputTensor;

template <typename T, typename Field>
std::string Pack(const Field& field) {
  std::string packed;
  for (const auto element : field) {
    const T narrow = static_cast<T>(element);
    packed.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
  }
  return packed;
}

std::string PackText(std::string_view text) {
  const auto length = static_cast<uint32_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&length), sizeof length).append(text);
}

std::string PackTyped(const std::string& datatype, const InferTensorContents& contents) {
  const bool is_signed = datatype.starts_with("INT");
  switch (is_signed || datatype.starts_with("UINT") ? ElementBytes(datatype) : 0) {
    case 1:
      return is_signed ? Pack<int8_t>(contents.int_contents())
                       : Pack<uint8_t>(contents.uint_contents());
    case 2:
      return is_signed ? Pack<int16_t>(contents.int_contents())
                       : Pack<uint16_t>(contents.uint_contents());
    case 4:
      return is_signed ? Pack<int32_t>(contents.int_contents())
                       : Pack<uint32_t>(contents.uint_contents());
    case 8:
      return is_signed ? Pack<int64_t>(contents.int64_contents())
                       : Pack<uint64_t>(contents.uint64_contents());
    default:
      break;
  }
  if (datatype == "BYTES") {
    std::string packed;
    for (const std::string& text : contents.bytes_contents()) {
      packed += PackText(text);
    }
    return packed;
  }
  if (datatype == "BOOL") {
    return Pack<bool>(contents.bool_contents());
  }
  return datatype == "FP32" ? Pack<float>(contents.fp32_contents())
                            : Pack<double>(contents.fp64_contents());
}

size_t Number(const Input& input, const std::string& name) {
  const auto found = input.parameters().find(name);
  if (found == input.parameters().end()) {
    return 0;
  }
  const InferParameter& number = found->second;
  return number.has_uint64_param() ? number.uint64_param()
                                   : static_cast<size_t>(number.int64_param());
}

// Appends the texts in the lists; false when the lists are not of this shape.
bool PackLists(const Value& value, std::span<const int64_t> shape, std::string& packed) {
  if (shape.empty()) {
    const auto* bytes = value.get<Bytes>();
    packed += bytes == nullptr ? "" : PackText(bytes->data);
    return bytes != nullptr;
  }
  const List* list = value.get<List>();
  return list != nullptr && static_cast<int64_t>(list->size()) == shape.front() &&
         std::ranges::all_of(
             *list, [&](const Value& item) { return PackLists(item, shape.subspan(1), packed); });
}

}  // namespace

size_t ElementBytes(const std::string& datatype) {
  if (datatype == "BYTES") {
    return 0;
  }
  return datatype == "BOOL" || datatype.ends_with("T8")
             ? 1
             : std::stoul(datatype.substr(datatype.size() - 2)) / 8;
}

std::vector<std::string> ContentsOf(const inference::ModelInferRequest& request,
                                    std::string_view region) {
  std::vector<std::string> contents;
  int next_raw = 0;
  for (const Input& input : request.inputs()) {
    if (input.parameters().contains("shared_memory_region")) {
      contents.emplace_back(region.substr(Number(input, "shared_memory_offset"),
                                          Number(input, "shared_memory_byte_size")));
    } else if (request.raw_input_contents_size() > 0) {
      contents.push_back(request.raw_input_contents(next_raw++));
    } else {
      contents.push_back(PackTyped(input.datatype(), input.contents()));
    }
  }
  return contents;
}

bool IsInput(const Value& value, const Input& input, const std::string& contents) {
  const std::vector<int64_t> shape(input.shape().begin(), input.shape().end());
  if (input.datatype() == "BYTES") {
    std::string packed;
    return PackLists(value, shape, packed) && packed == contents;
  }
  const auto* tensor = value.get<Tensor>();
  if (tensor == nullptr || !std::ranges::equal(tensor->shape(), shape) ||
      server::NameOf(tensor->dtype()) != input.datatype()) {
    return false;
  }
  std::string copy(tensor->size_bytes(), '\0');
  tensor->CopyTo(std::as_writable_bytes(std::span(copy)));
  return copy == contents;
}

}  // namespace torchdeploy::fuzz
