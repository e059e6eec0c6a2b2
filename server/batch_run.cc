#include "server/batch_run.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/arguments.h"
#include "server/joined_arguments.h"
#include "server/padding.h"
#include "server/queued_request.h"
#include "server/request_times.h"
#include "server/trimmed_outputs.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

BatchRun::BatchRun(Requests requests, std::shared_ptr<const Padding> padding,
                   std::function<void(const Requests&)> run_alone)
    : requests_(std::move(requests)),
      padding_(std::move(padding)),
      run_alone_(std::move(run_alone)),
      left_(requests_.size()) {}

std::optional<ReplicatedObj::DueCall> BatchRun::Begin(size_t slot) {
  times_.taken = std::chrono::steady_clock::now();
  TakeOver();
  if (requests_.empty()) {
    return std::nullopt;
  }
  for (const auto& request : requests_) {
    request->TakenIn(slot);
  }
  Result<Arguments> arguments = Join();
  if (!arguments.ok()) {
    run_alone_(requests_);
    return std::nullopt;
  }
  times_.called = std::chrono::steady_clock::now();
  return ReplicatedObj::DueCall{
      std::move(arguments->positional),
      std::move(arguments->keywords),
      [self = shared_from_this()](const Result<Value>& result) { self->Deliver(result); },
      {.cancellation = cancellation_},
      requests_.front()->method()};
}

void BatchRun::TakeOver() {
  const size_t before = requests_.size();
  std::erase_if(requests_, [this](const std::shared_ptr<QueuedRequest>& request) {
    return !request->HandTo(LeaveFunction());
  });
  for (size_t gone = before - requests_.size(); gone > 0; --gone) {
    LeaveOne();
  }
}

std::function<void()> BatchRun::LeaveFunction() {
  return [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self != nullptr) {
      self->LeaveOne();
    }
  };
}

std::vector<const Arguments*> BatchRun::ArgumentsOfAll() const {
  std::vector<const Arguments*> all;
  for (const auto& request : requests_) {
    all.push_back(&request->arguments());
  }
  return all;
}

Result<Arguments> BatchRun::Join() const {
  if (requests_.size() == 1) {
    return requests_.front()->arguments();
  }
  return JoinArguments(ArgumentsOfAll(), *padding_);
}

void BatchRun::LeaveOne() {
  if (--left_ == 0) {
    cancellation_.Cancel();
  }
}

void BatchRun::AnswerAll(const Status& status) {
  for (const auto& request : requests_) {
    request->Answer(status);
  }
}

void BatchRun::Deliver(const Result<Value>& result) {
  RequestTimes times = times_;
  for (const auto& request : requests_) {
    times.batch_rows += request->num_rows();
  }
  times.returned = std::chrono::steady_clock::now();
  times.is_counted = std::make_shared<std::atomic_flag>();
  if (requests_.size() == 1) {
    requests_.front()->Answer(result, times);
  } else if (result.ok()) {
    DeliverRows(*result, times);
  } else if (result.status().code() == Code::kUnavailable) {
    AnswerAll(result.status());
  } else {
    run_alone_(requests_);
  }
}

void BatchRun::DeliverRows(const Value& result, const RequestTimes& times) {
  Result<std::vector<Value>> parts = Split(result);
  if (!parts.ok()) {
    AnswerAll(parts.status());
    return;
  }
  for (size_t i = 0; i < requests_.size(); ++i) {
    requests_[i]->Answer(std::move((*parts)[i]), times);
  }
}

Result<std::vector<Value>> BatchRun::Split(const Value& result) const {
  std::vector<int64_t> rows;
  for (const auto& request : requests_) {
    rows.push_back(request->num_rows());
  }
  Result<std::vector<Value>> parts = SplitResult(result, rows);
  if (!parts.ok()) {
    return parts;
  }
  const Status status = TrimOutputs(*padding_, ArgumentsOfAll(), *parts);
  return status.ok() ? std::move(parts) : status;
}

}  // namespace torchdeploy::server
