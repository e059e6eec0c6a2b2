#include "tests/fakes/fake_values.h"

#include <algorithm>
#include <atomic>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <dlpack/dlpack.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/value_crossing.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy::fakes {

namespace {

std::atomic<int64_t> live_tensors = 0;

struct CountedTensor {
  DLManagedTensorVersioned managed;
  DLManagedTensorVersioned* original;
};

// The same tensor, counted until its deleter runs.
DLManagedTensorVersioned* Count(DLManagedTensorVersioned* original) {
  auto counted = std::make_unique<CountedTensor>();
  counted->managed = *original;
  counted->original = original;
  counted->managed.manager_ctx = counted.get();
  counted->managed.deleter = [](DLManagedTensorVersioned* self) {
    const std::unique_ptr<CountedTensor> owned(static_cast<CountedTensor*>(self->manager_ctx));
    if (owned->original->deleter != nullptr) {
      owned->original->deleter(owned->original);
    }
    live_tensors.fetch_sub(1);
  };
  live_tensors.fetch_add(1);
  return &counted.release()->managed;
}

void CountTensorsIn(td_value& value) {
  if (value.kind == TD_KIND_TENSOR) {
    value.as.tensor = Count(value.as.tensor);
  } else if (value.kind == TD_KIND_LIST || value.kind == TD_KIND_TUPLE) {
    for (td_value& item : std::span(value.as.sequence.items, value.as.sequence.size)) {
      CountTensorsIn(item);
    }
  } else if (value.kind == TD_KIND_DICT) {
    for (td_value& item : std::span(value.as.dict.values, value.as.dict.size)) {
      CountTensorsIn(item);
    }
  }
}

td_value* NewBlock(size_t size) {
  return std::make_unique<td_value[]>(size).release();
}

struct Exporter {
  uint32_t flags;
  td_value& out;

  void operator()(None) const { out.kind = TD_KIND_NONE; }
  void operator()(bool value) const {
    out.kind = TD_KIND_BOOL;
    out.as.boolean = value ? 1 : 0;
  }
  void operator()(int64_t value) const {
    out.kind = TD_KIND_INT;
    out.as.integer = value;
  }
  void operator()(double value) const {
    out.kind = TD_KIND_FLOAT;
    out.as.real = value;
  }
  void operator()(const std::complex<double>& value) const {
    out.kind = TD_KIND_COMPLEX;
    out.as.complex[0] = value.real();
    out.as.complex[1] = value.imag();
  }
  void operator()(const std::string& value) const { Text(TD_KIND_STR, value); }
  void operator()(const Bytes& value) const { Text(TD_KIND_BYTES, value.data); }
  void operator()(const Device& value) const { Text(TD_KIND_DEVICE, value.name); }
  void operator()(const Dtype& value) const { Text(TD_KIND_DTYPE, value.name); }
  void operator()(const Layout& value) const { Text(TD_KIND_LAYOUT, value.name); }
  void operator()(const Tensor& value) const {
    out.kind = TD_KIND_TENSOR;
    out.flags = flags;
    out.as.tensor = Count(value.ToDLPack());
  }
  void operator()(const List& value) const { Sequence(TD_KIND_LIST, value); }
  void operator()(const Tuple& value) const { Sequence(TD_KIND_TUPLE, value.items); }
  void operator()(const Dict& value) const {
    out.kind = TD_KIND_DICT;
    out.as.dict = {NewBlock(value.size()), NewBlock(value.size()), value.size()};
    for (size_t i = 0; i < value.size(); ++i) {
      Export(value[i].first, flags, out.as.dict.keys[i]);
      Export(value[i].second, flags, out.as.dict.values[i]);
    }
  }

 private:
  void Text(td_kind kind, const std::string& text) const {
    out.kind = kind;
    char* const copy = std::make_unique<char[]>(text.size()).release();
    std::copy(text.begin(), text.end(), copy);
    out.as.text = {copy, text.size()};
  }

  void Sequence(td_kind kind, const std::vector<Value>& items) const {
    out.kind = kind;
    out.as.sequence = {NewBlock(items.size()), items.size()};
    for (size_t i = 0; i < items.size(); ++i) {
      Export(items[i], flags, out.as.sequence.items[i]);
    }
  }
};

void FreeBlock(td_value* items, size_t size) {
  const std::unique_ptr<td_value[]> owned(items);
  for (td_value& item : std::span(items, size)) {
    Free(item);
  }
}

bool IsText(td_kind kind) {
  return kind == TD_KIND_STR || kind == TD_KIND_BYTES || kind == TD_KIND_DEVICE ||
         kind == TD_KIND_DTYPE || kind == TD_KIND_LAYOUT;
}

}  // namespace

int64_t LiveTensors() {
  return live_tensors.load();
}

Result<Value> Import(td_value& value) {
  CountTensorsIn(value);
  return TakeValue(value, AliasedTensors::kShare);
}

void Export(const Value& value, uint32_t flags, td_value& out) {
  std::visit(Exporter{flags, out}, value.variant());
}

void Free(td_value& value) {
  if (IsText(value.kind)) {
    const std::unique_ptr<const char[]> owned(value.as.text.data);
  } else if (value.kind == TD_KIND_TENSOR && value.as.tensor != nullptr) {
    value.as.tensor->deleter(value.as.tensor);
  } else if (value.kind == TD_KIND_LIST || value.kind == TD_KIND_TUPLE) {
    FreeBlock(value.as.sequence.items, value.as.sequence.size);
  } else if (value.kind == TD_KIND_DICT) {
    FreeBlock(value.as.dict.keys, value.as.dict.size);
    FreeBlock(value.as.dict.values, value.as.dict.size);
  }
}

}  // namespace torchdeploy::fakes
