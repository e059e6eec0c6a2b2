// Values on their way through the waist.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

// Values laid out for an engine. Strings are borrowed from the Values, which must outlive
// this; tensors are new references, and those that no engine has taken (their pointer is
// not null) are dropped with this. Not thread-safe.
class LaidOutValues {
 public:
  LaidOutValues() = default;
  LaidOutValues(const LaidOutValues&) = delete;
  LaidOutValues& operator=(const LaidOutValues&) = delete;
  ~LaidOutValues();

  // `size` td_values in one block, of kind NONE, that lives as long as this.
  td_value* NewBlock(size_t size);

  // Lays `value` out at `place`, which NewBlock() gave. kInvalidArgument for an empty Tensor
  // handle and for a dict key that is neither string nor integer; `place` stays valid then.
  Status LayOut(const Value& value, td_value& place);

 private:
  Status LayOutDict(const Dict& dict, td_value& place);
  Status LayOutSequence(const std::vector<Value>& items, td_kind kind, td_value& place);

  std::deque<std::vector<td_value>> blocks_;
};

// What becomes of tensors that the engine flagged TD_VALUE_ALIASED.
enum class AliasedTensors { kShare, kCopy };

// Reads a value that left an engine and takes its tensors, setting their pointers to null.
// kInternal for what the waist does not allow; otherwise fails as Tensor::Clone() does.
Result<Value> TakeValue(td_value& value, AliasedTensors aliased);

}  // namespace torchdeploy
