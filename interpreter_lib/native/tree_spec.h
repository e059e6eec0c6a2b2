// How nested values become the flat tensors of compiled code, and back.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <nlohmann/json_fwd.hpp>

namespace torchdeploy::native {

// A tensor among others, and where in the call's arguments it stood, as messages call it.
struct FlatTensor {
  at::Tensor tensor;
  const std::string* place;
};

// One of torch.utils._pytree. Immutable once made.
class TreeSpec {
 public:
  // `serialized`: a node of what treespec_dumps() writes. `place` is what messages call the value.
  // Throws EngineError(TD_FAILED_PRECONDITION) when it is no such node.
  TreeSpec(const nlohmann::json& serialized, std::string place);

  // Appends the tensors of `value`, each leaf one. Throws EngineError(TD_INVALID_ARGUMENT) when
  // `value` is built otherwise, or has a leaf that is no tensor or is one without elements,
  // whose extents compiled code does not compare with the others'.
  void Flatten(const c10::IValue& value, std::vector<FlatTensor>& tensors) const;

  // Takes its leaves from the front of `tensors`. A dataclass or another class with named fields
  // is a dict, a named tuple a tuple.
  // REQUIRES: there are size() tensors.
  c10::IValue Unflatten(std::span<const at::Tensor>& tensors) const;

  // Leaves.
  [[nodiscard]] size_t size() const;
  [[nodiscard]] const std::string& place() const { return place_; }

  // Of a dict, in order, else empty.
  [[nodiscard]] const std::vector<c10::IValue>& keys() const { return keys_; }

 private:
  enum class Kind { kLeaf, kTuple, kList, kDict };

  void FlattenDict(const c10::IValue& value, std::vector<FlatTensor>& tensors) const;

  Kind kind_ = Kind::kLeaf;
  std::string place_;
  std::vector<c10::IValue> keys_;
  std::vector<TreeSpec> children_;
};

}  // namespace torchdeploy::native
