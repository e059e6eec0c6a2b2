// Ownership of the td_value trees that enter and leave the engine.
#include "interpreter_lib/common/value_tree.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy {
namespace {

void ReleaseTensor(td_value& value) {
  DLManagedTensorVersioned* const tensor = std::exchange(value.as.tensor, nullptr);
  if (tensor->deleter != nullptr) {
    tensor->deleter(tensor);
  }
}

void FreeValues(td_value* values, size_t size) noexcept {
  const std::unique_ptr<td_value[]> owner(values);
  std::for_each(values, values + size, [](td_value& value) { FreeTree(&value); });
}

using Values = std::pair<td_value*, size_t>;

// The values inside a container, keys aside.
Values ChildrenOf(const td_value& value) {
  if (value.kind == TD_KIND_LIST || value.kind == TD_KIND_TUPLE) {
    return {value.as.sequence.items, value.as.sequence.size};
  }
  if (value.kind == TD_KIND_DICT) {
    return {value.as.dict.values, value.as.dict.size};
  }
  return {};
}

}  // namespace

ValueTree::~ValueTree() {
  FreeTree(&root_);
}

td_text NewText(std::string_view text) {
  auto data = std::make_unique<char[]>(text.size() + 1);
  std::copy(text.begin(), text.end(), data.get());
  return {data.release(), text.size()};
}

td_sequence NewSequence(size_t size) {
  return {std::make_unique<td_value[]>(size).release(), size};
}

td_dict NewDict(size_t size) {
  auto keys = std::make_unique<td_value[]>(size);
  auto values = std::make_unique<td_value[]>(size);
  return {keys.release(), values.release(), size};
}

void FreeTree(td_value* value) noexcept {
  switch (value->kind) {
    case TD_KIND_STR:
    case TD_KIND_BYTES:
    case TD_KIND_DEVICE:
    case TD_KIND_DTYPE:
    case TD_KIND_LAYOUT: {
      const std::unique_ptr<const char[]> owner(value->as.text.data);
      break;
    }
    case TD_KIND_TENSOR:
      if (value->as.tensor != nullptr) {
        ReleaseTensor(*value);
      }
      break;
    case TD_KIND_LIST:
    case TD_KIND_TUPLE:
      FreeValues(value->as.sequence.items, value->as.sequence.size);
      break;
    case TD_KIND_DICT:
      FreeValues(value->as.dict.keys, value->as.dict.size);
      FreeValues(value->as.dict.values, value->as.dict.size);
      break;
    case TD_KIND_NONE:
    case TD_KIND_BOOL:
    case TD_KIND_INT:
    case TD_KIND_FLOAT:
    case TD_KIND_COMPLEX:
    case TD_KIND_OBJECT:
      break;
  }
  *value = td_value{};
}

void ForEachTensor(td_value* values, size_t size, void (*visit)(td_value&)) {
  std::vector<Values> open = {{values, size}};
  while (!open.empty()) {
    auto& [next, left] = open.back();
    if (left == 0) {
      open.pop_back();
      continue;
    }
    td_value& value = *next;
    ++next;
    --left;
    if (value.kind == TD_KIND_TENSOR && value.as.tensor != nullptr) {
      visit(value);
    }
    open.push_back(ChildrenOf(value));
  }
}

TakenTensors::~TakenTensors() {
  ForEachTensor(values_, size_, &ReleaseTensor);
}

}  // namespace torchdeploy
