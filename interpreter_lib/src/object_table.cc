// The Python objects that the host holds by id.
#include "interpreter_lib/src/object_table.h"

#include <Python.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {

ObjectTable::Held::~Held() {
  object = PyRef();
  if (after_release && !PyRef::Take(PyObject_CallNoArgs(after_release.get()))) {
    PyErr_Clear();
  }
}

td_object ObjectTable::Add(PyRef object, PyRef after_release) {
  auto held = std::make_unique<Held>(std::move(object), std::move(after_release));
  const std::lock_guard lock(mutex_);
  objects_.emplace(last_id_ + 1, std::move(held));
  return ++last_id_;
}

PyRef ObjectTable::Get(td_object id) const {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end()) {
    throw EngineError(TD_FAILED_PRECONDITION,
                      "object " + std::to_string(id) +
                          " is not alive in this interpreter: it was released or is another's");
  }
  return found->second->object;
}

std::unique_ptr<Releasable> ObjectTable::Remove(td_object id) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end()) {
    return nullptr;
  }
  std::unique_ptr<Releasable> removed = std::move(found->second);
  objects_.erase(found);
  return removed;
}

void ObjectTable::Clear() {
  std::unordered_map<td_object, std::unique_ptr<Held>> dropped;  // Goes after the lock.
  const std::lock_guard lock(mutex_);
  dropped.swap(objects_);
}

}  // namespace torchdeploy
