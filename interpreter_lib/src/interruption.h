// Ending a call from outside.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {

// Raises an exception in the operation that runs on the interpreter's own thread, at its next
// step of Python code. Lives as long as the process.
class Interruption {
 public:
  // An operation inside the interpreter; only those of the interpreter's own thread count.
  class Operation {
   public:
    explicit Operation(Interruption& interruption);
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    ~Operation();

   private:
    Interruption& interruption_;
    uint64_t number_ = 0;  // 0: nested, or of another thread.
  };

  // On the interpreter's own thread.
  explicit Interruption(ReleaseQueue& releases) : releases_(releases) {}
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  // What is raised: a class of Python. Once, before the first operation.
  void SetException(PyRef exception) { exception_ = std::move(exception); }

  // Any thread; never waits. The operation that runs now is meant, and no later one.
  void Request() noexcept;

 private:
  void RaiseSoon() noexcept;
  void RaiseInside();

  ReleaseQueue& releases_;
  const std::thread::id thread_ = std::this_thread::get_id();
  std::atomic<unsigned long> python_thread_ = 0;  // As Python names that thread.
  PyRef exception_;
  uint64_t last_ = 0;                      // Of the own thread.
  std::atomic<uint64_t> running_ = 0;      // The operation of the own thread; 0: none.
  std::atomic<uint64_t> interrupted_ = 0;  // The operation that is to end.
  std::atomic<bool> is_raising_ = false;
};

}  // namespace torchdeploy
