// Requests that one call answers.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "server/queued_request.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// The call ends early when all of its requests have. Thread-safe.
class BatchRun : public std::enable_shared_from_this<BatchRun> {
 public:
  using Requests = std::vector<std::shared_ptr<QueuedRequest>>;

  // `run_alone` is called when the call failed for several, of which one alone may be the reason.
  BatchRun(Requests requests, std::function<void()> run_alone);

  // What is to be called. Nothing when no request is left, or they could not be joined; those that
  // are left have an answer then.
  std::optional<ReplicatedObj::DueCall> Begin();

 private:
  void LeaveOne();
  void AnswerAll(const Status& status);
  void Deliver(const Result<Value>& result);
  void DeliverRows(const Value& result);

  Requests requests_;  // Constant once it has begun.
  const std::function<void()> run_alone_;
  const Cancellation cancellation_;
  std::atomic<size_t> left_;
};

}  // namespace torchdeploy::server
