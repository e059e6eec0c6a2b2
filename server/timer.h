// Doing something later.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

struct TimerState;  // Of timer.cc.

// A thread of its own, exact to some tens of microseconds; gRPC's alarms know only milliseconds.
// Thread-safe.
class Timer {
 public:
  using Clock = std::chrono::steady_clock;

  // What is to be done, unless this is dropped before; then it may still be under way.
  class Appointment {
   public:
    Appointment() = default;
    Appointment(Appointment&& other) noexcept = default;
    Appointment& operator=(Appointment&& other) noexcept;
    Appointment(const Appointment&) = delete;
    Appointment& operator=(const Appointment&) = delete;
    ~Appointment();

   private:
    friend class Timer;
    using Key = std::pair<Clock::time_point, uint64_t>;
    Appointment(std::weak_ptr<TimerState> state, Key key)
        : state_(std::move(state)), key_(std::move(key)) {}

    std::weak_ptr<TimerState> state_;
    Key key_;
  };

  // kResourceExhausted: no thread can be started.
  static Result<std::shared_ptr<Timer>> Start();

  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  // Never waits; the thread ends soon, and may be this one.
  ~Timer();

  // `work` runs on the timer's thread; it must be quick and must not throw.
  [[nodiscard]] Appointment At(Clock::time_point due, std::function<void()> work);

 private:
  explicit Timer(std::shared_ptr<TimerState> state) : state_(std::move(state)) {}

  const std::shared_ptr<TimerState> state_;
};

}  // namespace torchdeploy::server
