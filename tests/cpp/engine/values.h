// Makes td_value trees, and shows them as text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy::testing {

constexpr DLDataType kFloat32 = {kDLFloat, 32, 1};
constexpr DLDataType kInt64 = {kDLInt, 64, 1};

// A tensor of the host. The engine must call its deleter exactly once; `deletions` counts.
struct HostTensor {
  std::vector<std::byte> memory;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  DLManagedTensorVersioned managed{};
  int* deletions = nullptr;
};

// Owns what its values point to.
class Arena {
 public:
  static td_value None() { return {}; }
  static td_value Bool(bool value);
  static td_value Int(int64_t value);
  static td_value Float(double value);
  static td_value Complex(double real, double imaginary);
  static td_value Object(td_object object);
  static td_value Tensor(DLManagedTensorVersioned* tensor);
  td_value Text(td_kind kind, std::string_view text);
  td_value Str(std::string_view text) { return Text(TD_KIND_STR, text); }
  td_value List(std::vector<td_value> items) { return Sequence(TD_KIND_LIST, std::move(items)); }
  td_value Tuple(std::vector<td_value> items) { return Sequence(TD_KIND_TUPLE, std::move(items)); }
  td_value Dict(const std::vector<std::pair<td_value, td_value>>& items);

 private:
  td_value Sequence(td_kind kind, std::vector<td_value> items);

  std::deque<std::string> texts_;
  std::deque<std::vector<td_value>> arrays_;
};

// A row-major float32 tensor, deleted by its deleter.
DLManagedTensorVersioned* FloatTensor(std::vector<int64_t> shape, const std::vector<float>& data,
                                      int* deletions = nullptr);

// Any tensor over `data`; the strides are row-major when empty.
DLManagedTensorVersioned* RawTensor(DLDataType dtype, std::vector<int64_t> shape,
                                    std::vector<int64_t> strides, std::vector<std::byte> data,
                                    int* deletions = nullptr);

// The value as Python would write it; a tensor as tensor(CODE.BITS, [shape], [strides]).
std::string Show(const td_value& value);

// The float32 elements of a tensor, in row-major order.
std::vector<float> Floats(const td_value& value);

}  // namespace torchdeploy::testing
