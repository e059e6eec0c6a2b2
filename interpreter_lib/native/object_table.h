// The objects that the host holds by id.
#pragma once

#include <mutex>
#include <unordered_map>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {

// Thread-safe. Ids count from 1 and are never used twice.
class ObjectTable {
 public:
  td_object Add(NativeObjectPtr object);
  // Throws EngineError(TD_FAILED_PRECONDITION) when `id` is not alive.
  [[nodiscard]] NativeObjectPtr Get(td_object id) const;
  void Remove(td_object id) noexcept;
  void Clear();

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  td_object last_id_ = 0;
  std::unordered_map<td_object, NativeObjectPtr> objects_;
};

}  // namespace torchdeploy::native
