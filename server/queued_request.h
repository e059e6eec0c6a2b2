// One request from its acceptance to its answer.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "server/arguments.h"
#include "server/joined_arguments.h"
#include "server/request_times.h"
#include "server/sequences.h"
#include "server/timer.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

struct Request {
  using Done = std::function<void(Result<Value>, const RequestTimes&)>;

  Arguments arguments;
  std::string method = {};  // Of the model; empty: the model itself, and only then is it joined.
  uint64_t priority = 0;    // 1 is before 2, and 0 the last.
  std::optional<SequenceStep> sequence = {};
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  // Told where the call will be made, before it is. May be empty.
  std::function<void(size_t slot)> taken = {};
  // As of ReplicatedObj::CallAsync(), or on the thread that ends the request.
  Done done;
};

// Its place in a queue: urgency, the least first, and arrival.
struct Rank {
  uint64_t urgency = 0;
  uint64_t arrival = 0;

  auto operator<=>(const Rank&) const = default;
};

// Answered exactly once. Thread-safe.
class QueuedRequest : public std::enable_shared_from_this<QueuedRequest> {
 public:
  // `rows`: nothing when it is not to be joined with others.
  QueuedRequest(Request request, const Rank& rank, std::optional<Rows> rows);

  // Ends it early at its deadline, if it has one. Once, before others know of it.
  void WatchDeadline(Timer& timer);

  // Says who has it from now on: `leave` is called when it has been answered early. False when it
  // has an answer.
  [[nodiscard]] bool HandTo(std::function<void()> leave);

  // `times`: when its call was made; its arrival is known here. False when it had an answer.
  bool Answer(Result<Value> result, RequestTimes times = {});
  // Answers, and has whoever has it let it go.
  void EndEarly(const Status& status);

  // REQUIRES: HandTo() was true.
  void TakenIn(size_t slot) const;

  [[nodiscard]] const std::string& method() const { return method_; }
  [[nodiscard]] const Arguments& arguments() const { return arguments_; }
  [[nodiscard]] const Rank& rank() const { return rank_; }
  [[nodiscard]] const std::optional<Rows>& rows() const { return rows_; }
  // 1 when it is not to be joined.
  [[nodiscard]] int64_t num_rows() const { return rows_.has_value() ? rows_->count : 1; }

 private:
  const Arguments arguments_;
  const std::string method_;
  const std::function<void(size_t)> taken_;
  const Rank rank_;
  const std::optional<Rows> rows_;
  const std::optional<std::chrono::steady_clock::time_point> deadline_;
  const std::chrono::steady_clock::time_point arrival_ = std::chrono::steady_clock::now();
  Timer::Appointment at_deadline_;

  std::mutex mutex_;
  // Guarded by mutex_.
  Request::Done done_;  // Empty once there is an answer.
  std::function<void()> leave_;
};

}  // namespace torchdeploy::server
