// Requests that one call answers.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "server/arguments.h"
#include "server/padding.h"
#include "server/queued_request.h"
#include "server/request_times.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// The call ends early when all of its requests have. Thread-safe.
class BatchRun : public std::enable_shared_from_this<BatchRun> {
 public:
  using Requests = std::vector<std::shared_ptr<QueuedRequest>>;

  // Made when its interpreter is free. `padding` is not null. `run_alone` is given requests whose
  // call failed, or could not be made, for several, of which one alone may be the reason.
  BatchRun(Requests requests, std::shared_ptr<const Padding> padding,
           std::function<void(const Requests&)> run_alone);

  // What is to be called. Nothing when no request is left, or they are to be run alone.
  std::optional<ReplicatedObj::DueCall> Begin(size_t slot);

 private:
  // Keeps those that have no answer yet.
  void TakeOver();
  // What a request calls that has been answered early.
  std::function<void()> LeaveFunction();
  [[nodiscard]] std::vector<const Arguments*> ArgumentsOfAll() const;
  [[nodiscard]] Result<Arguments> Join() const;
  void LeaveOne();
  void AnswerAll(const Status& status);
  void Deliver(const Result<Value>& result);
  void DeliverRows(const Value& result, const RequestTimes& times);
  // What each request gets of it.
  [[nodiscard]] Result<std::vector<Value>> Split(const Value& result) const;

  // Constant once it has begun.
  Requests requests_;
  RequestTimes times_;
  const std::shared_ptr<const Padding> padding_;
  const std::function<void(const Requests&)> run_alone_;
  const Cancellation cancellation_;
  std::atomic<size_t> left_;
};

}  // namespace torchdeploy::server
