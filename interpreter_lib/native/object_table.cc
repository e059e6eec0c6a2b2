#include "interpreter_lib/native/object_table.h"

#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {

td_object ObjectTable::Add(NativeObjectPtr object) {
  const std::lock_guard lock(mutex_);
  objects_.emplace(last_id_ + 1, std::move(object));
  return ++last_id_;
}

NativeObjectPtr ObjectTable::Get(td_object id) const {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end()) {
    throw EngineError(TD_FAILED_PRECONDITION,
                      "object " + std::to_string(id) +
                          " is not alive in this interpreter: it was released or is another's");
  }
  return found->second;
}

void ObjectTable::Remove(td_object id) noexcept {
  NativeObjectPtr removed;  // Goes after the lock.
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(id);
  if (found != objects_.end()) {
    removed = std::move(found->second);
    objects_.erase(found);
  }
}

void ObjectTable::Clear() {
  std::unordered_map<td_object, NativeObjectPtr> dropped;  // Goes after the lock.
  const std::lock_guard lock(mutex_);
  dropped.swap(objects_);
}

}  // namespace torchdeploy::native
