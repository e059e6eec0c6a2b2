// The Python objects that the host holds by id.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {

// Ids count from 1 and are never used twice.
class ObjectTable {
 public:
  // Inside the interpreter. `after_release` (empty: none) is a Python function without
  // arguments, called there once the object was released; what it raises is dropped.
  td_object Add(PyRef object, PyRef after_release = {});
  // Inside the interpreter. Throws EngineError(TD_FAILED_PRECONDITION) when `id` is not alive.
  [[nodiscard]] PyRef Get(td_object id) const;

  // Any thread, without the interpreter's lock: what is left to destroy inside the
  // interpreter. Null when `id` is not alive.
  [[nodiscard]] std::unique_ptr<Releasable> Remove(td_object id) noexcept;

  // Inside the interpreter: drops all objects.
  void Clear();

 private:
  struct Held : Releasable {
    Held(PyRef held, PyRef function)
        : object(std::move(held)), after_release(std::move(function)) {}
    ~Held() override;

    PyRef object;
    const PyRef after_release;
  };

  mutable std::mutex mutex_;  // Never held while Python code runs.
  td_object last_id_ = 0;     // Guarded by mutex_.
  std::unordered_map<td_object, std::unique_ptr<Held>> objects_;  // Guarded by mutex_.
};

}  // namespace torchdeploy
