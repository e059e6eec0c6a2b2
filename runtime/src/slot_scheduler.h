// Who gets which interpreter, and when.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy {

// One queue, in order of arrival, of threads that want a slot for themselves and of jobs
// that want to be run on a slot's own thread. An owner of several jobs that want the same slot, or
// any, stands in it with one of them; the next goes to its end when that one gets its slot. So
// owners take turns. Thread-safe. Knows nothing of interpreters.
//
// Invariants, whenever no thread is inside:
// 1. A free slot has nobody waiting who would accept it.
// 2. A slot that is released goes to the first in the queue who accepts it, and nobody else
//    is woken.
// 3. Who was accepted is served, also after Close() and when slots are removed.
class SlotScheduler : public std::enable_shared_from_this<SlotScheduler> {
 public:
  // Runs on the slot's own thread, which holds the slot meanwhile. Must not throw.
  using Job = std::function<void(size_t slot)>;

  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  // The thread that a slot's jobs run on.
  struct SlotThread {
    std::thread::id id;
    std::function<void(std::function<void()>)> post;  // Queues work for it; never blocks.
  };

  explicit SlotScheduler(std::vector<SlotThread> threads = {});

  SlotScheduler(const SlotScheduler&) = delete;
  SlotScheduler& operator=(const SlotScheduler&) = delete;

  // Holds any slot, or `wanted`, for this thread; waits for it in order of arrival. A thread
  // gets the wanted slot at once when it already holds it; each Acquire() is matched by one
  // Release(), in any order. kUnavailable after Close(). kFailedPrecondition when the wait
  // could not end, because each slot that would do is held by this thread, or by one that
  // itself waits in a circle with this one. kDeadlineExceeded when `deadline` passes first.
  // kInvalidArgument: there is no such slot.
  Result<size_t> Acquire(std::optional<size_t> wanted, Deadline deadline = {});
  void Release(size_t slot);

  // Has `job` run in any slot, or in `wanted`; never waits. Fails as Acquire() does, and then
  // `job` is left as it was. `owner` is compared, never used; null: it has no other jobs.
  Status Submit(Job& job, std::optional<size_t> wanted, const void* owner = nullptr);

  [[nodiscard]] size_t size() const;

  // Adds a slot at index size().
  void Add(SlotThread thread);
  // Removes the slots from `size` on, once those who hold or wait for them have had them; waits
  // for that. kFailedPrecondition when this thread holds a slot. REQUIRES: size >= 1; not at the
  // same time as another Add() or Remove().
  Status Remove(size_t size);
  // Who wants any slot gets one of the first `count` only. REQUIRES: count >= 1.
  void Limit(size_t count);
  // Takes the slot from the job that runs in it, which may never end, and gives it to `thread`.
  // REQUIRES: a job holds the slot.
  void Replace(size_t slot, SlotThread thread);

  [[nodiscard]] bool ThisThreadHoldsAny() const;
  // Threads and jobs that wait for a slot now.
  [[nodiscard]] size_t waiting() const;
  // For how long each slot has been held so far.
  [[nodiscard]] std::vector<std::chrono::nanoseconds> BusyTimes() const;

  // Refuses what comes later and waits until all slots are free and nobody waits. Aborts
  // when this thread holds a slot, for that would wait for ever.
  void Close();

 private:
  // A thread in Acquire().
  struct Caller {
    std::thread::id thread;
    size_t slot = 0;  // Once granted.
    bool is_granted = false;
    std::condition_variable ready;
  };

  struct Waiter {
    uint64_t arrival = 0;
    Caller* caller = nullptr;  // Null for a job.
    Job job;
    const void* owner = nullptr;  // Null for none.
  };
  using Queue = std::deque<Waiter>;

  struct Slot {
    SlotThread own;
    std::thread::id holder;  // Of no thread when depth is 0.
    size_t depth = 0;        // How often the holder holds it.
    std::chrono::steady_clock::time_point held_since;
    std::chrono::nanoseconds busy{0};  // Without the time since then.
    Queue waiting;                     // Those who want this slot and no other.
    uint64_t life = 0;  // Another one after Replace(): what was held before is not any more.
    bool is_leaving = false;
    bool is_removed = false;  // It has left, and is not free.
  };

  // What threads wait for: a slot, or any.
  using Waits = std::map<std::thread::id, std::optional<size_t>>;

  // A job that was given to a slot, or nothing.
  using NextJob = std::optional<Job>;

  // All of these with mutex_ held.
  [[nodiscard]] Status CheckPresent(std::optional<size_t> wanted) const;
  [[nodiscard]] bool ServesAny(size_t slot) const;
  [[nodiscard]] bool IsIdle() const;
  void BeginLife(size_t slot, SlotThread thread);
  [[nodiscard]] static std::chrono::nanoseconds BusyTime(const Slot& slot);
  // Gives a slot that is neither held nor free to whoever is next.
  NextJob Offer(size_t slot);
  std::optional<size_t> TakeFree(std::optional<size_t> wanted);
  void Hold(size_t slot, std::thread::id holder);
  void Enqueue(std::optional<size_t> wanted, Waiter waiter);
  void EnqueueNextOf(const void* owner, std::optional<size_t> wanted);
  void Withdraw(std::optional<size_t> wanted, const Caller& caller);
  Queue& QueueOf(std::optional<size_t> wanted);
  Queue* FirstQueueFor(size_t slot);
  NextJob LetGo(size_t slot);
  [[nodiscard]] bool Holds(std::thread::id thread) const;
  [[nodiscard]] bool CouldEnd(std::thread::id thread, std::optional<size_t> wanted) const;
  // Whether a slot that would do is held by a thread that is not stuck.
  [[nodiscard]] bool CouldBeReleased(std::optional<size_t> wanted, const Waits& stuck) const;

  // Without it.
  std::vector<std::pair<size_t, Job>> LimitTo(size_t count);
  void Post(size_t slot, Job job);
  void RunJobs(size_t slot, uint64_t life, Job job);

  mutable std::mutex mutex_;
  std::condition_variable idle_;  // Of all slots, or of those that leave.
  // Guarded by mutex_.
  std::vector<Slot> slots_;
  size_t limit_ = SIZE_MAX;
  std::vector<size_t> free_;  // The last one freed is at the end and goes first: it is warm.
  Queue waiting_for_any_;
  // For each owner in a queue, and what that queue is of: its other jobs.
  std::map<std::pair<const void*, std::optional<size_t>>, std::deque<Job>> behind_;
  uint64_t arrivals_ = 0;
  uint64_t lives_ = 0;
  bool closed_ = false;
  // What the threads wait for that hold a slot already.
  Waits waiting_holders_;
};

// A slot held by this thread until the end of a scope.
class HeldSlot {
 public:
  static Result<HeldSlot> Acquire(std::shared_ptr<SlotScheduler> scheduler,
                                  std::optional<size_t> wanted,
                                  SlotScheduler::Deadline deadline = {});

  HeldSlot(HeldSlot&&) noexcept = default;
  HeldSlot& operator=(HeldSlot&&) = delete;
  HeldSlot(const HeldSlot&) = delete;
  HeldSlot& operator=(const HeldSlot&) = delete;
  ~HeldSlot();

  [[nodiscard]] size_t slot() const { return slot_; }

 private:
  HeldSlot(std::shared_ptr<SlotScheduler> scheduler, size_t slot)
      : scheduler_(std::move(scheduler)), slot_(slot) {}

  std::shared_ptr<SlotScheduler> scheduler_;  // Null once moved from.
  size_t slot_;
};

}  // namespace torchdeploy
