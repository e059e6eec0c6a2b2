#include "runtime/src/call_watch.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/src/endable_call.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

using Clock = CallWatch::Clock;

constexpr std::chrono::milliseconds kInterruptEvery{100};
constexpr std::chrono::seconds kLeaveBehindAfter{10};

// What is to be done for a call at some time.
struct Appointment {
  std::weak_ptr<EndableCall> call;
  // Nothing before its deadline; then when to leave it behind.
  std::optional<Clock::time_point> patience_ends;
};

}  // namespace

struct WatchState {
  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by mutex.
  std::multimap<Clock::time_point, Appointment> appointments;
  bool has_ended = false;

  void Add(Clock::time_point due, Appointment appointment);
  // The next appointment, when it is due; nothing at the end.
  std::optional<Appointment> AwaitNext();
};

namespace {

void Keep(WatchState& state, const Appointment& appointment) {
  const std::shared_ptr<EndableCall> call = appointment.call.lock();
  if (call == nullptr) {
    return;
  }
  if (!appointment.patience_ends.has_value()) {
    call->EndEarly(Status(Code::kDeadlineExceeded, "The call was over its deadline."));
    return;
  }
  if (Clock::now() >= *appointment.patience_ends) {
    call->LeaveBehind();
  } else if (call->Interrupt()) {
    state.Add(Clock::now() + kInterruptEvery, appointment);
  }
}

void Serve(const std::shared_ptr<WatchState>& state) {
  while (const std::optional<Appointment> next = state->AwaitNext()) {
    Keep(*state, *next);
  }
}

}  // namespace

void WatchState::Add(Clock::time_point due, Appointment appointment) {
  const std::lock_guard lock(mutex);
  appointments.emplace(due, std::move(appointment));
  changed.notify_one();
}

std::optional<Appointment> WatchState::AwaitNext() {
  std::unique_lock lock(mutex);
  for (;;) {
    if (has_ended) {
      return std::nullopt;
    }
    if (appointments.empty()) {
      changed.wait(lock);
      continue;
    }
    const Clock::time_point due = appointments.begin()->first;
    if (Clock::now() < due) {
      changed.wait_until(lock, due);
      continue;
    }
    Appointment next = std::move(appointments.begin()->second);
    appointments.erase(appointments.begin());
    return next;
  }
}

Result<std::unique_ptr<CallWatch>> CallWatch::Start() {
  auto state = std::make_shared<WatchState>();
  try {
    std::thread([state] { Serve(state); }).detach();
  } catch (const std::system_error& error) {
    return Status(Code::kResourceExhausted,
                  std::string("No thread can be started for deadlines: ") + error.what() + ".");
  }
  return std::unique_ptr<CallWatch>(new CallWatch(std::move(state)));
}

CallWatch::~CallWatch() {
  const std::lock_guard lock(state_->mutex);
  state_->has_ended = true;
  state_->changed.notify_one();
}

void CallWatch::EndAt(Clock::time_point deadline, const std::shared_ptr<EndableCall>& call) {
  state_->Add(deadline, {call, std::nullopt});
}

void CallWatch::FollowUp(const std::shared_ptr<EndableCall>& call) {
  const Clock::time_point now = Clock::now();
  state_->Add(now + kInterruptEvery, {call, now + kLeaveBehindAfter});
}

}  // namespace torchdeploy
