#include "server/batch_run.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/arguments.h"
#include "server/joined_arguments.h"
#include "server/queued_request.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

BatchRun::BatchRun(Requests requests, std::function<void()> run_alone)
    : requests_(std::move(requests)), run_alone_(std::move(run_alone)), left_(requests_.size()) {}

std::optional<ReplicatedObj::DueCall> BatchRun::Begin() {
  std::erase_if(requests_, [this](const std::shared_ptr<QueuedRequest>& request) {
    const bool is_left = request->HandTo([weak = weak_from_this()] {
      if (const auto self = weak.lock(); self != nullptr) {
        self->LeaveOne();
      }
    });
    left_ -= is_left ? 0 : 1;
    return !is_left;
  });
  if (requests_.empty()) {
    return std::nullopt;
  }
  std::vector<const Arguments*> all;
  for (const auto& request : requests_) {
    all.push_back(&request->arguments());
  }
  Result<Arguments> arguments = all.size() == 1 ? *all.front() : JoinArguments(all);
  if (!arguments.ok()) {
    AnswerAll(arguments.status());
    return std::nullopt;
  }
  return ReplicatedObj::DueCall{
      std::move(arguments->positional),
      std::move(arguments->keywords),
      [self = shared_from_this()](const Result<Value>& result) { self->Deliver(result); },
      {.cancellation = cancellation_}};
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
  if (requests_.size() == 1) {
    requests_.front()->Answer(result);
  } else if (result.ok()) {
    DeliverRows(*result);
  } else if (result.status().code() == Code::kUnavailable) {
    AnswerAll(result.status());
  } else {
    run_alone_();
  }
}

void BatchRun::DeliverRows(const Value& result) {
  std::vector<int64_t> rows;
  for (const auto& request : requests_) {
    rows.push_back(request->rows()->count);
  }
  Result<std::vector<Value>> parts = SplitResult(result, rows);
  if (!parts.ok()) {
    AnswerAll(parts.status());
    return;
  }
  for (size_t i = 0; i < requests_.size(); ++i) {
    requests_[i]->Answer(std::move((*parts)[i]));
  }
}

}  // namespace torchdeploy::server
