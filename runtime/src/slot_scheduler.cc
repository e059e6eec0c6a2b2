#include "runtime/src/slot_scheduler.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/src/invariant.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

Status Closed() {
  return {Code::kUnavailable, "The interpreter manager is closing."};
}

Status WouldNeverEnd(std::optional<size_t> wanted) {
  const std::string what =
      wanted.has_value() ? "interpreter " + std::to_string(*wanted) : "another interpreter";
  return {Code::kFailedPrecondition,
          "Waiting for " + what +
              " could not end: this thread's own sessions, or threads that wait for them, hold "
              "all that would do. End a session first, or ask for the slot that this thread "
              "holds."};
}

}  // namespace

SlotScheduler::SlotScheduler(std::vector<SlotThread> threads) {
  for (SlotThread& thread : threads) {
    slots_.emplace_back().own = std::move(thread);
  }
  for (size_t slot = slots_.size(); slot-- > 0;) {
    free_.push_back(slot);
  }
}

Result<size_t> SlotScheduler::Acquire(std::optional<size_t> wanted, Deadline deadline) {
  const std::thread::id me = std::this_thread::get_id();
  std::unique_lock lock(mutex_);
  if (closed_) {
    return Closed();
  }
  if (wanted.has_value() && slots_[*wanted].depth > 0 && slots_[*wanted].holder == me) {
    ++slots_[*wanted].depth;
    return *wanted;
  }
  if (const std::optional<size_t> slot = TakeFree(wanted); slot.has_value()) {
    Hold(*slot, me);
    return *slot;
  }
  if (Holds(me)) {
    if (!CouldEnd(me, wanted)) {
      return WouldNeverEnd(wanted);
    }
    waiting_holders_.emplace(me, wanted);
  }
  Caller caller{.thread = me, .ready = {}};
  Enqueue(wanted, &caller, nullptr);
  const auto is_granted = [&] { return caller.is_granted; };
  if (!deadline.has_value()) {
    caller.ready.wait(lock, is_granted);
  } else if (!caller.ready.wait_until(lock, *deadline, is_granted)) {
    Withdraw(wanted, caller);
    return Status(Code::kDeadlineExceeded, "No interpreter became free before the deadline.");
  }
  return caller.slot;
}

void SlotScheduler::Release(size_t slot) {
  NextJob next;
  {
    const std::lock_guard lock(mutex_);
    next = LetGo(slot);
  }
  if (next.has_value()) {
    Post(slot, *std::move(next));
  }
}

Status SlotScheduler::Submit(Job& job, std::optional<size_t> wanted) {
  std::optional<size_t> slot;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return Closed();
    }
    slot = TakeFree(wanted);
    if (!slot.has_value()) {
      Enqueue(wanted, nullptr, std::move(job));
      return {};
    }
    Hold(*slot, slots_[*slot].own.id);
  }
  Post(*slot, std::move(job));
  return {};
}

bool SlotScheduler::ThisThreadHoldsAny() const {
  const std::lock_guard lock(mutex_);
  return Holds(std::this_thread::get_id());
}

size_t SlotScheduler::waiting() const {
  const std::lock_guard lock(mutex_);
  size_t count = waiting_for_any_.size();
  for (const Slot& slot : slots_) {
    count += slot.waiting.size();
  }
  return count;
}

void SlotScheduler::Close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  if (Holds(std::this_thread::get_id())) {
    AbortBroken("An interpreter manager was closed by a thread that holds a session of it.");
  }
  // Nobody waits once all slots are free, by the first invariant.
  idle_.wait(lock, [&] { return free_.size() == slots_.size(); });
}

std::optional<size_t> SlotScheduler::TakeFree(std::optional<size_t> wanted) {
  if (free_.empty()) {
    return std::nullopt;
  }
  const auto found =
      wanted.has_value() ? std::find(free_.begin(), free_.end(), *wanted) : free_.end() - 1;
  if (found == free_.end()) {
    return std::nullopt;
  }
  const size_t slot = *found;
  free_.erase(found);
  return slot;
}

void SlotScheduler::Hold(size_t slot, std::thread::id holder) {
  slots_[slot].holder = holder;
  slots_[slot].depth = 1;
}

void SlotScheduler::Enqueue(std::optional<size_t> wanted, Caller* caller, Job job) {
  QueueOf(wanted).push_back({arrivals_++, caller, std::move(job)});
}

void SlotScheduler::Withdraw(std::optional<size_t> wanted, const Caller& caller) {
  std::erase_if(QueueOf(wanted), [&](const Waiter& waiter) { return waiter.caller == &caller; });
  waiting_holders_.erase(caller.thread);
}

SlotScheduler::Queue& SlotScheduler::QueueOf(std::optional<size_t> wanted) {
  return wanted.has_value() ? slots_[*wanted].waiting : waiting_for_any_;
}

SlotScheduler::Queue* SlotScheduler::FirstQueueFor(Slot& slot) {
  if (slot.waiting.empty() || waiting_for_any_.empty()) {
    Queue& queue = slot.waiting.empty() ? waiting_for_any_ : slot.waiting;
    return queue.empty() ? nullptr : &queue;
  }
  return slot.waiting.front().arrival < waiting_for_any_.front().arrival ? &slot.waiting
                                                                         : &waiting_for_any_;
}

SlotScheduler::NextJob SlotScheduler::LetGo(size_t slot) {
  if (--slots_[slot].depth > 0) {
    return std::nullopt;
  }
  Queue* const queue = FirstQueueFor(slots_[slot]);
  if (queue == nullptr) {
    slots_[slot].holder = {};
    free_.push_back(slot);
    if (closed_ && free_.size() == slots_.size()) {
      idle_.notify_all();
    }
    return std::nullopt;
  }
  Waiter next = std::move(queue->front());
  queue->pop_front();
  if (next.caller == nullptr) {
    Hold(slot, slots_[slot].own.id);
    return std::move(next.job);
  }
  Hold(slot, next.caller->thread);
  waiting_holders_.erase(next.caller->thread);
  next.caller->slot = slot;
  next.caller->is_granted = true;
  next.caller->ready.notify_one();  // Under the lock: `caller` goes once its thread has seen it.
  return std::nullopt;
}

bool SlotScheduler::Holds(std::thread::id thread) const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [&](const Slot& slot) { return slot.depth > 0 && slot.holder == thread; });
}

bool SlotScheduler::CouldEnd(std::thread::id thread, std::optional<size_t> wanted) const {
  // Threads that hold a slot and wait are stuck until one of the slots that they would take
  // is seen to be held by somebody who is not: who runs is taken to release in the end.
  std::map<std::thread::id, std::optional<size_t>> stuck = waiting_holders_;
  stuck.emplace(thread, wanted);
  const auto can_release = [&](const Slot& slot) { return !stuck.contains(slot.holder); };
  const auto could_be_served = [&](const auto& waiting) {
    const std::optional<size_t>& wants = waiting.second;
    return wants.has_value() ? can_release(slots_[*wants])
                             : std::any_of(slots_.begin(), slots_.end(), can_release);
  };
  while (std::erase_if(stuck, could_be_served) > 0) {
  }
  return !stuck.contains(thread);
}

void SlotScheduler::Post(size_t slot, Job job) {
  slots_[slot].own.post([self = shared_from_this(), slot, job = std::move(job)]() mutable {
    self->RunJobs(slot, std::move(job));
  });
}

void SlotScheduler::RunJobs(size_t slot, Job job) {
  NextJob next = std::move(job);
  while (next.has_value()) {
    (*next)(slot);
    next.reset();  // What the job holds goes before the slot does, for Close() waits for both.
    const std::lock_guard lock(mutex_);
    next = LetGo(slot);
  }
}

Result<HeldSlot> HeldSlot::Acquire(std::shared_ptr<SlotScheduler> scheduler,
                                   std::optional<size_t> wanted, SlotScheduler::Deadline deadline) {
  const Result<size_t> slot = scheduler->Acquire(wanted, deadline);
  if (!slot.ok()) {
    return slot.status();
  }
  return HeldSlot(std::move(scheduler), *slot);
}

// A lock that fails ends the process.
HeldSlot::~HeldSlot() {  // NOLINT(bugprone-exception-escape)
  if (scheduler_ != nullptr) {
    scheduler_->Release(slot_);
  }
}

}  // namespace torchdeploy
