// One interpreter: an engine and the thread that made it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/src/engine.h"
#include "runtime/src/engine_loader.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// What the interpreters of one manager have in common.
struct InterpreterTraits {
  int32_t intra_op_threads = 1;
  bool pin_cores = false;

  bool operator==(const InterpreterTraits&) const = default;
};

// What an interpreter is made as; equal ones can stand in for each other.
struct InterpreterKind {
  std::string loader_identity;
  uint32_t slot = 0;
  InterpreterTraits traits;

  bool operator==(const InterpreterKind&) const = default;
};

// Thread-safe. Lives as long as the process, and its thread with it: an engine cannot be
// unloaded, and Python must end on the thread that it began on.
class Interpreter {
 public:
  // Starts the thread, which makes the engine; see WaitUntilStarted(). `number` is unique in
  // this process.
  Interpreter(InterpreterKind kind, uint32_t number, std::shared_ptr<EngineLoader> loader);

  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // The error of making the engine, if any.
  [[nodiscard]] Status WaitUntilStarted() const { return started_.get(); }

  // What follows REQUIRES: WaitUntilStarted().ok().
  [[nodiscard]] Engine& engine() const { return *engine_; }
  [[nodiscard]] std::thread::id thread_id() const { return thread_id_; }

  // Runs `work` on the interpreter's thread, in the order of posting. `work` must not throw.
  void Post(std::function<void()> work);

  // Each does what its name says to the engine on its thread; the future is set when that is
  // done. REQUIRES, for Clean(): nothing else runs in the interpreter.
  [[nodiscard]] std::future<void> Clean();
  [[nodiscard]] std::future<void> Stop();

  [[nodiscard]] const InterpreterKind& kind() const { return kind_; }

 private:
  using Clock = std::chrono::steady_clock;

  // The queued releases of the engine that somebody should do some time soon.
  struct PendingReleases {
    Clock::time_point due;
    uint64_t entries;  // Of the engine, when they were announced.
  };

  std::future<void> Do(void (Engine::*operation)());
  static void ReleasesPending(void* interpreter);

  Status StartEngine(uint32_t number);
  [[noreturn]] void Serve();
  // Waits for something to do and takes it: work, or releases that are due.
  std::function<void()> NextWork();
  void CollectUnlessEnteredSince(uint64_t entries);

  const InterpreterKind kind_;
  // Kept, for the libraries that it has loaded call back into it.
  const std::shared_ptr<EngineLoader> loader_;
  // Set before `started_`, constant afterwards.
  std::unique_ptr<Engine> engine_;
  std::thread::id thread_id_;
  std::shared_future<Status> started_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<std::function<void()>> mailbox_;
  bool has_pending_releases_ = false;
  PendingReleases pending_releases_{};
};

}  // namespace torchdeploy
