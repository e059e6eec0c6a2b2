// What the host has dropped and the interpreter must still destroy.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

namespace torchdeploy {

// Something that may only be destroyed inside the interpreter.
class Releasable {
 public:
  Releasable() = default;
  Releasable(const Releasable&) = delete;
  Releasable& operator=(const Releasable&) = delete;
  virtual ~Releasable() = default;
};

// Push() and Close() may be called on any thread, with or without any interpreter's lock,
// and never wait for one. Drain() is called inside the interpreter.
class ReleaseQueue {
 public:
  using Notify = void (*)(void* context);

  // `notify` (null: none) is called by Push() when the queue was empty.
  ReleaseQueue(Notify notify, void* context) : notify_(notify), context_(context) {}

  void Push(std::unique_ptr<Releasable> item) noexcept;
  void Drain() noexcept;
  // From now on whatever is pushed, or was not drained, is leaked on purpose: the
  // interpreter that could destroy it has stopped.
  void Close() noexcept;

 private:
  const Notify notify_;
  void* const context_;
  std::atomic<bool> pending_ = false;  // Lets Drain() of an empty queue cost nothing.
  std::mutex mutex_;
  bool closed_ = false;                             // Guarded by mutex_.
  std::vector<std::unique_ptr<Releasable>> items_;  // Guarded by mutex_.
};

}  // namespace torchdeploy
