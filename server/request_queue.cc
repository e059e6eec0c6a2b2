#include "server/request_queue.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/alarm.h>

#include "server/batch_run.h"
#include "server/joined_arguments.h"
#include "server/queued_request.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

BatchSettings WithAllPreferred(BatchSettings settings) {
  if (settings.preferred_rows.empty() || settings.preferred_rows.back() != settings.most_rows) {
    settings.preferred_rows.push_back(settings.most_rows);
  }
  return settings;
}

template <typename Iterators>
int64_t CountRows(const Iterators& requests) {
  int64_t count = 0;
  for (const auto& waiting : requests) {
    count += waiting->second.request->rows()->count;
  }
  return count;
}

}  // namespace

void RequestQueue::Ticket::EndEarly(const Status& status) const {
  if (request_ != nullptr) {
    request_->EndEarly(status);
  }
}

RequestQueue::RequestQueue(ReplicatedObj entry, QueueSettings settings,
                           std::function<size_t()> num_interpreters)
    : entry_(std::move(entry)),
      settings_{settings.most_waiting, WithAllPreferred(std::move(settings.batching))},
      num_interpreters_(std::move(num_interpreters)) {}

Result<RequestQueue::Ticket> RequestQueue::Submit(Request request) {
  if (request.deadline.has_value() && *request.deadline <= std::chrono::steady_clock::now()) {
    return Status(Code::kDeadlineExceeded, "The request was over its timeout when it arrived.");
  }
  std::optional<Rows> rows = CanJoin() ? RowsOf(request.arguments) : std::nullopt;
  if (Status status = CheckRows(rows); !status.ok()) {
    return status;
  }
  const uint64_t urgency = request.priority - 1;  // 0 wraps around, to the last.
  const bool is_alone = !rows.has_value();
  const auto queued = std::make_shared<QueuedRequest>(std::move(request), std::move(rows));
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= settings_.most_waiting) {
      return Status(Code::kResourceExhausted,
                    "the queue of the model is full: " + std::to_string(waiting_.size()) +
                        " requests are waiting");
    }
    Enter({urgency, arrivals_++}, {.request = queued, .is_alone = is_alone});
  }
  queued->WatchDeadline();
  AskForInterpreters();
  return Ticket(queued);
}

size_t RequestQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

Status RequestQueue::CheckRows(const std::optional<Rows>& rows) const {
  const int64_t most = settings_.batching.most_rows;
  if (!rows.has_value() || rows->count <= most) {
    return {};
  }
  return {Code::kInvalidArgument, "the inputs have " + std::to_string(rows->count) +
                                      " rows; the model takes " + std::to_string(most) +
                                      " at most"};
}

void RequestQueue::Enter(const Rank& rank, Waiting waiting) {
  const bool is_left = waiting.request->HandTo([weak = weak_from_this(), rank] {
    if (const auto self = weak.lock(); self != nullptr) {
      self->Remove(rank);
    }
  });
  if (is_left) {
    WaitForOthers(rank, waiting);
    waiting_.emplace(rank, std::move(waiting));
  }
}

void RequestQueue::WaitForOthers(const Rank& rank, Waiting& waiting) {
  const std::chrono::microseconds delay = settings_.batching.delay;
  waiting.is_overdue = waiting.is_overdue || waiting.is_alone || delay.count() == 0;
  if (waiting.is_overdue) {
    return;
  }
  waiting.delay = std::make_shared<grpc::Alarm>();
  waiting.delay->Set(std::chrono::system_clock::now() + delay,
                     [weak = weak_from_this(), rank](bool is_due) {
                       const auto self = weak.lock();
                       if (is_due && self != nullptr) {
                         self->StopWaitingForOthers(rank);
                       }
                     });
}

void RequestQueue::StopWaitingForOthers(const Rank& rank) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = waiting_.find(rank); found != waiting_.end()) {
      found->second.is_overdue = true;
    }
  }
  AskForInterpreters();
}

void RequestQueue::AskForInterpreters() {
  while (TakeOneToAskFor()) {
    const Status asked =
        entry_.CallWhenFree([self = shared_from_this()] { return self->NextCall(); });
    if (!asked.ok()) {
      EndWaiting(asked);
      return;
    }
  }
}

bool RequestQueue::TakeOneToAskFor() {
  const std::lock_guard lock(mutex_);
  if (asked_for_ >= std::min(waiting_.size(), num_interpreters_()) || !IsDue(Joinable())) {
    return false;
  }
  ++asked_for_;
  return true;
}

std::optional<ReplicatedObj::DueCall> RequestQueue::NextCall() {
  {
    const std::lock_guard lock(mutex_);
    --asked_for_;
  }
  std::optional<ReplicatedObj::DueCall> call;
  for (Batch batch = TakeBatch(); !batch.empty(); batch = TakeBatch()) {
    BatchRun::Requests requests;
    for (const auto& [rank, waiting] : batch) {
      requests.push_back(waiting.request);
    }
    const auto run = std::make_shared<BatchRun>(
        std::move(requests), [self = shared_from_this(), batch] { self->RunAlone(batch); });
    call = run->Begin();
    if (call.has_value()) {
      break;
    }
  }
  AskForInterpreters();
  return call;
}

RequestQueue::Batch RequestQueue::TakeBatch() {
  const std::lock_guard lock(mutex_);
  std::vector<WaitingRequests::iterator> joinable = Joinable();
  if (!IsDue(joinable)) {
    return {};
  }
  LimitToPreferred(joinable);
  Batch batch;
  for (const auto& waiting : joinable) {
    auto node = waiting_.extract(waiting);
    batch.emplace_back(node.key(), std::move(node.mapped()));
  }
  return batch;
}

void RequestQueue::RunAlone(const Batch& batch) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [rank, waiting] : batch) {
      Enter(rank, {.request = waiting.request, .is_alone = true});
    }
  }
  AskForInterpreters();
}

void RequestQueue::Remove(const Rank& rank) {
  const std::lock_guard lock(mutex_);
  waiting_.erase(rank);
}

void RequestQueue::EndWaiting(const Status& status) {
  WaitingRequests waiting;
  {
    const std::lock_guard lock(mutex_);
    --asked_for_;
    waiting.swap(waiting_);
  }
  for (const auto& [rank, each] : waiting) {
    each.request->EndEarly(status);
  }
}

std::vector<RequestQueue::WaitingRequests::iterator> RequestQueue::Joinable() {
  std::vector<WaitingRequests::iterator> joinable;
  int64_t rows = 0;
  for (auto next = waiting_.begin(); next != waiting_.end(); ++next) {
    const Waiting& waiting = next->second;
    if (joinable.empty() && waiting.is_alone) {
      return {next};
    }
    if (waiting.is_alone ||
        (!joinable.empty() &&
         waiting.request->rows()->kind != joinable.front()->second.request->rows()->kind)) {
      continue;
    }
    rows += waiting.request->rows()->count;
    if (rows > settings_.batching.most_rows) {
      break;
    }
    joinable.push_back(next);
  }
  return joinable;
}

bool RequestQueue::IsDue(const std::vector<WaitingRequests::iterator>& joinable) const {
  const auto is_overdue = [](const auto& waiting) { return waiting->second.is_overdue; };
  return std::any_of(joinable.begin(), joinable.end(), is_overdue) ||
         (!joinable.empty() && CountRows(joinable) >= settings_.batching.preferred_rows.front());
}

void RequestQueue::LimitToPreferred(std::vector<WaitingRequests::iterator>& joinable) const {
  if (joinable.front()->second.is_alone) {
    return;
  }
  const std::vector<int64_t>& preferred = settings_.batching.preferred_rows;
  const auto above = std::upper_bound(preferred.begin(), preferred.end(), CountRows(joinable));
  if (above == preferred.begin()) {
    return;
  }
  while (CountRows(joinable) > *std::prev(above)) {
    joinable.pop_back();
  }
}

}  // namespace torchdeploy::server
