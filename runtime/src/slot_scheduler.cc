#include "runtime/src/slot_scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
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
    slots_.emplace_back();
    BeginLife(slots_.size() - 1, std::move(thread));
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
  if (wanted.has_value() && *wanted < slots_.size() && slots_[*wanted].depth > 0 &&
      slots_[*wanted].holder == me) {
    ++slots_[*wanted].depth;
    return *wanted;
  }
  if (Status status = CheckPresent(wanted); !status.ok()) {
    return status;
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
  Enqueue(wanted, {.caller = &caller, .job = nullptr});
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

Status SlotScheduler::Submit(Job& job, std::optional<size_t> wanted, const void* owner) {
  std::optional<size_t> slot;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return Closed();
    }
    if (Status status = CheckPresent(wanted); !status.ok()) {
      return status;
    }
    slot = TakeFree(wanted);
    if (!slot.has_value()) {
      Enqueue(wanted, {.job = std::move(job), .owner = owner});
      return {};
    }
    Hold(*slot, slots_[*slot].own.id);
  }
  Post(*slot, std::move(job));
  return {};
}

size_t SlotScheduler::size() const {
  const std::lock_guard lock(mutex_);
  return slots_.size();
}

void SlotScheduler::Add(SlotThread thread) {
  size_t slot = 0;
  NextJob next;
  {
    const std::lock_guard lock(mutex_);
    slot = slots_.size();
    slots_.emplace_back();
    BeginLife(slot, std::move(thread));
    next = Offer(slot);
  }
  if (next.has_value()) {
    Post(slot, *std::move(next));
  }
}

Status SlotScheduler::Remove(size_t size) {
  std::unique_lock lock(mutex_);
  if (Holds(std::this_thread::get_id())) {
    return {Code::kFailedPrecondition,
            "Interpreters cannot be taken away by a thread that holds a session: end it first."};
  }
  for (size_t slot = size; slot < slots_.size(); ++slot) {
    slots_[slot].is_leaving = true;
    slots_[slot].is_removed = std::erase(free_, slot) > 0;
  }
  idle_.wait(lock, [&] {
    return std::all_of(slots_.begin() + static_cast<std::ptrdiff_t>(size), slots_.end(),
                       [](const Slot& slot) { return slot.is_removed; });
  });
  slots_.resize(size);
  return {};
}

void SlotScheduler::Limit(size_t count) {
  for (auto& [slot, job] : LimitTo(count)) {
    Post(slot, std::move(job));
  }
}

std::vector<std::pair<size_t, SlotScheduler::Job>> SlotScheduler::LimitTo(size_t count) {
  const std::lock_guard lock(mutex_);
  limit_ = count;
  // Those that were left idle before may have somebody to serve now.
  std::vector<std::pair<size_t, Job>> jobs;
  for (const size_t slot : std::exchange(free_, {})) {
    if (NextJob next = Offer(slot); next.has_value()) {
      jobs.emplace_back(slot, *std::move(next));
    }
  }
  return jobs;
}

void SlotScheduler::Replace(size_t slot, SlotThread thread) {
  NextJob next;
  {
    const std::lock_guard lock(mutex_);
    BeginLife(slot, std::move(thread));
    next = Offer(slot);
  }
  if (next.has_value()) {
    Post(slot, *std::move(next));
  }
}

bool SlotScheduler::ThisThreadHoldsAny() const {
  const std::lock_guard lock(mutex_);
  return Holds(std::this_thread::get_id());
}

std::vector<std::chrono::nanoseconds> SlotScheduler::BusyTimes() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::chrono::nanoseconds> times;
  times.reserve(slots_.size());
  for (const Slot& slot : slots_) {
    times.push_back(BusyTime(slot));
  }
  return times;
}

size_t SlotScheduler::waiting() const {
  const std::lock_guard lock(mutex_);
  size_t count = waiting_for_any_.size();
  for (const Slot& slot : slots_) {
    count += slot.waiting.size();
  }
  for (const auto& [place, jobs] : behind_) {
    count += jobs.size();
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
  idle_.wait(lock, [&] { return IsIdle(); });
}

void SlotScheduler::BeginLife(size_t slot, SlotThread thread) {
  slots_[slot].busy = BusyTime(slots_[slot]);
  slots_[slot].own = std::move(thread);
  slots_[slot].life = ++lives_;
  slots_[slot].depth = 0;
}

std::chrono::nanoseconds SlotScheduler::BusyTime(const Slot& slot) {
  return slot.depth == 0 ? slot.busy
                         : slot.busy + (std::chrono::steady_clock::now() - slot.held_since);
}

Status SlotScheduler::CheckPresent(std::optional<size_t> wanted) const {
  if (!wanted.has_value() || (*wanted < slots_.size() && !slots_[*wanted].is_leaving)) {
    return {};
  }
  return {Code::kInvalidArgument, "There is no slot " + std::to_string(*wanted) +
                                      "; expected 0 to " + std::to_string(slots_.size() - 1) + "."};
}

bool SlotScheduler::ServesAny(size_t slot) const {
  return slot < limit_ && !slots_[slot].is_leaving;
}

bool SlotScheduler::IsIdle() const {
  const auto removed =
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.is_removed; });
  return free_.size() + static_cast<size_t>(removed) == slots_.size();
}

std::optional<size_t> SlotScheduler::TakeFree(std::optional<size_t> wanted) {
  const auto found = std::find_if(free_.rbegin(), free_.rend(), [&](size_t slot) {
    return wanted.has_value() ? slot == *wanted : ServesAny(slot);
  });
  if (found == free_.rend()) {
    return std::nullopt;
  }
  const size_t slot = *found;
  free_.erase(std::next(found).base());
  return slot;
}

void SlotScheduler::Hold(size_t slot, std::thread::id holder) {
  slots_[slot].holder = holder;
  slots_[slot].depth = 1;
  slots_[slot].held_since = std::chrono::steady_clock::now();
}

void SlotScheduler::Enqueue(std::optional<size_t> wanted, Waiter waiter) {
  if (waiter.owner != nullptr) {
    const auto [behind, is_first] = behind_.try_emplace({waiter.owner, wanted});
    if (!is_first) {
      behind->second.push_back(std::move(waiter.job));
      return;
    }
  }
  waiter.arrival = arrivals_++;
  QueueOf(wanted).push_back(std::move(waiter));
}

void SlotScheduler::EnqueueNextOf(const void* owner, std::optional<size_t> wanted) {
  const auto behind = behind_.find({owner, wanted});
  std::deque<Job>& jobs = behind->second;
  if (jobs.empty()) {
    behind_.erase(behind);
    return;
  }
  QueueOf(wanted).push_back(
      {.arrival = arrivals_++, .job = std::move(jobs.front()), .owner = owner});
  jobs.pop_front();
}

void SlotScheduler::Withdraw(std::optional<size_t> wanted, const Caller& caller) {
  std::erase_if(QueueOf(wanted), [&](const Waiter& waiter) { return waiter.caller == &caller; });
  waiting_holders_.erase(caller.thread);
}

SlotScheduler::Queue& SlotScheduler::QueueOf(std::optional<size_t> wanted) {
  return wanted.has_value() ? slots_[*wanted].waiting : waiting_for_any_;
}

SlotScheduler::Queue* SlotScheduler::FirstQueueFor(size_t slot) {
  Queue& own = slots_[slot].waiting;
  if (waiting_for_any_.empty() || !ServesAny(slot)) {
    return own.empty() ? nullptr : &own;
  }
  return !own.empty() && own.front().arrival < waiting_for_any_.front().arrival ? &own
                                                                                : &waiting_for_any_;
}

SlotScheduler::NextJob SlotScheduler::LetGo(size_t slot) {
  if (slots_[slot].depth == 1) {
    slots_[slot].busy = BusyTime(slots_[slot]);
  }
  return --slots_[slot].depth > 0 ? std::nullopt : Offer(slot);
}

SlotScheduler::NextJob SlotScheduler::Offer(size_t slot) {
  Queue* const queue = FirstQueueFor(slot);
  if (queue == nullptr) {
    slots_[slot].holder = {};
    slots_[slot].is_removed = slots_[slot].is_leaving;
    if (!slots_[slot].is_removed) {
      free_.push_back(slot);
    }
    if (closed_ || slots_[slot].is_removed) {
      idle_.notify_all();
    }
    return std::nullopt;
  }
  Waiter next = std::move(queue->front());
  queue->pop_front();
  if (next.owner != nullptr) {
    EnqueueNextOf(next.owner, queue == &waiting_for_any_ ? std::nullopt : std::optional(slot));
  }
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
  Waits stuck = waiting_holders_;
  stuck.emplace(thread, wanted);
  const auto could_be_served = [&](const auto& waiting) {
    return CouldBeReleased(waiting.second, stuck);
  };
  while (std::erase_if(stuck, could_be_served) > 0) {
  }
  return !stuck.contains(thread);
}

bool SlotScheduler::CouldBeReleased(std::optional<size_t> wanted, const Waits& stuck) const {
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const bool would_do = wanted.has_value() ? slot == *wanted : ServesAny(slot);
    if (would_do && !stuck.contains(slots_[slot].holder)) {
      return true;
    }
  }
  return false;
}

void SlotScheduler::Post(size_t slot, Job job) {
  std::function<void(std::function<void()>)> post;
  uint64_t life = 0;
  {
    const std::lock_guard lock(mutex_);
    post = slots_[slot].own.post;
    life = slots_[slot].life;
  }
  post([self = shared_from_this(), slot, life, job = std::move(job)]() mutable {
    self->RunJobs(slot, life, std::move(job));
  });
}

void SlotScheduler::RunJobs(size_t slot, uint64_t life, Job job) {
  NextJob next = std::move(job);
  while (next.has_value()) {
    (*next)(slot);
    next.reset();  // What the job holds goes before the slot does, for Close() waits for both.
    const std::lock_guard lock(mutex_);
    if (slot >= slots_.size() || slots_[slot].life != life) {
      return;  // The slot was taken away while the job ran.
    }
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
