// Ending a call from outside.
#include "interpreter_lib/src/interruption.h"

#include <Python.h>

#include <cstdint>
#include <system_error>
#include <thread>

#include "interpreter_lib/src/interpreter_entry.h"

namespace torchdeploy {

Interruption::Operation::Operation(Interruption& interruption) : interruption_(interruption) {
  if (std::this_thread::get_id() == interruption_.thread_ && interruption_.running_.load() == 0) {
    number_ = ++interruption_.last_;
    interruption_.python_thread_.store(PyThread_get_thread_ident());
    interruption_.running_.store(number_);
  }
}

Interruption::Operation::~Operation() {
  if (number_ == 0) {
    return;
  }
  interruption_.running_.store(0);
  if (interruption_.interrupted_.load() == number_) {
    // Set but not raised, it would hit the next operation.
    PyThreadState_SetAsyncExc(interruption_.python_thread_.load(), nullptr);
  }
}

void Interruption::Request() noexcept {
  const uint64_t running = running_.load();
  if (running == 0) {
    return;
  }
  interrupted_.store(running);
  if (!is_raising_.exchange(true)) {  // Of several requests one is enough.
    RaiseSoon();
  }
}

void Interruption::RaiseSoon() noexcept {
  // What raises must hold the interpreter's lock, which native code may never give: a thread of
  // its own waits for that.
  try {
    std::thread([this] { RaiseInside(); }).detach();
  } catch (const std::system_error&) {
    is_raising_.store(false);  // The next request tries again.
  }
}

void Interruption::RaiseInside() {
  const InterpreterEntry entry(releases_);
  is_raising_.store(false);
  const uint64_t running = running_.load();
  if (running != 0 && running == interrupted_.load()) {
    PyThreadState_SetAsyncExc(python_thread_.load(), exception_.get());
  }
}

}  // namespace torchdeploy
