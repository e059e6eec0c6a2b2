// Ownership of the td_value trees that enter and leave the engine.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy {

// A tree that the engine made, freed unless it is released to the host.
class ValueTree {
 public:
  ValueTree() = default;
  ValueTree(const ValueTree&) = delete;
  ValueTree& operator=(const ValueTree&) = delete;
  ~ValueTree();

  [[nodiscard]] td_value* root() { return &root_; }
  [[nodiscard]] td_value Release() { return std::exchange(root_, td_value{}); }

 private:
  td_value root_{};
};

// What a node of a tree that the engine made holds. Elements start as None.
td_text NewText(std::string_view text);
td_sequence NewSequence(size_t size);
td_dict NewDict(size_t size);

// Frees what `value` owns, tensors that are not null included, and makes it None. Objects
// stay alive. Any thread; never waits for the interpreter.
void FreeTree(td_value* value) noexcept;

// Calls `visit(td_value&)` for each tensor of the tree that is not null. Needs no lock and,
// because the host's trees have any depth, no recursion.
void ForEachTensor(td_value* values, size_t size, void (*visit)(td_value&));

// Takes over the tensors of the host's values: what is still there at the end is released.
class TakenTensors {
 public:
  TakenTensors(td_value* values, size_t size) : values_(values), size_(size) {}
  TakenTensors(const TakenTensors&) = delete;
  TakenTensors& operator=(const TakenTensors&) = delete;
  ~TakenTensors();

 private:
  td_value* values_;
  size_t size_;
};

}  // namespace torchdeploy
