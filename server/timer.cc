#include "server/timer.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

struct TimerState {
  using Key = std::pair<Timer::Clock::time_point, uint64_t>;

  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by mutex.
  std::map<Key, std::function<void()>> appointments;
  uint64_t last_number = 0;
  bool has_ended = false;

  // What is to be done next, when it is due; nothing at the end.
  std::function<void()> AwaitNext();
  void Serve();
};

std::function<void()> TimerState::AwaitNext() {
  std::unique_lock lock(mutex);
  while (!has_ended) {
    if (appointments.empty()) {
      changed.wait(lock);
      continue;
    }
    const Timer::Clock::time_point due = appointments.begin()->first.first;
    if (Timer::Clock::now() < due) {
      changed.wait_until(lock, due);
      continue;
    }
    return std::move(appointments.extract(appointments.begin()).mapped());
  }
  return nullptr;
}

void TimerState::Serve() {
  while (const std::function<void()> work = AwaitNext()) {
    work();
  }
}

Timer::Appointment& Timer::Appointment::operator=(Appointment&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(key_, other.key_);
  return *this;
}

// A lock that fails ends the process.
Timer::Appointment::~Appointment() {  // NOLINT(bugprone-exception-escape)
  if (const auto state = state_.lock(); state != nullptr) {
    const std::lock_guard lock(state->mutex);
    state->appointments.erase(key_);
  }
}

Result<std::shared_ptr<Timer>> Timer::Start() {
  auto state = std::make_shared<TimerState>();
  try {
    std::thread([state] { state->Serve(); }).detach();
  } catch (const std::system_error& error) {
    return Status(Code::kResourceExhausted,
                  std::string("No thread can be started for timeouts: ") + error.what() + ".");
  }
  return std::shared_ptr<Timer>(new Timer(std::move(state)));
}

Timer::~Timer() {
  const std::lock_guard lock(state_->mutex);
  state_->has_ended = true;
  state_->changed.notify_one();
}

Timer::Appointment Timer::At(Clock::time_point due, std::function<void()> work) {
  const std::lock_guard lock(state_->mutex);
  const TimerState::Key key{due, ++state_->last_number};
  const auto made = state_->appointments.emplace(key, std::move(work)).first;
  if (made == state_->appointments.begin()) {
    state_->changed.notify_one();
  }
  return {state_, key};
}

}  // namespace torchdeploy::server
