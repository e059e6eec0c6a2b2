// One request from its acceptance to its answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include <grpcpp/alarm.h>

#include "server/arguments.h"
#include "server/joined_arguments.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

struct Request {
  Arguments arguments;
  uint64_t priority = 0;  // 1 is before 2, and 0 the last.
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  // As of ReplicatedObj::CallAsync(), or on the thread that ends the request.
  ReplicatedObj::Callback done;
};

// Answered exactly once. Thread-safe.
class QueuedRequest : public std::enable_shared_from_this<QueuedRequest> {
 public:
  // `rows`: nothing when it is not to be joined with others.
  QueuedRequest(Request request, std::optional<Rows> rows);

  // Ends it early at its deadline, if it has one. Once.
  void WatchDeadline();

  // Says who has it from now on: `leave` is called when it has been answered early. False when it
  // has an answer.
  [[nodiscard]] bool HandTo(std::function<void()> leave);

  // False when it had an answer.
  bool Answer(Result<Value> result);
  // Answers, and has whoever has it let it go.
  void EndEarly(const Status& status);

  [[nodiscard]] const Arguments& arguments() const { return arguments_; }
  [[nodiscard]] const std::optional<Rows>& rows() const { return rows_; }
  [[nodiscard]] std::chrono::steady_clock::time_point arrival() const { return arrival_; }

 private:
  const Arguments arguments_;
  const std::optional<Rows> rows_;
  const std::optional<std::chrono::steady_clock::time_point> deadline_;
  const std::chrono::steady_clock::time_point arrival_ = std::chrono::steady_clock::now();
  grpc::Alarm alarm_;

  std::mutex mutex_;
  // Guarded by mutex_.
  ReplicatedObj::Callback done_;  // Empty once there is an answer.
  std::function<void()> leave_;
};

}  // namespace torchdeploy::server
