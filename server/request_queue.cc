#include "server/request_queue.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "server/batch_run.h"
#include "server/joined_arguments.h"
#include "server/model_stream.h"
#include "server/padding.h"
#include "server/queued_request.h"
#include "server/request_times.h"
#include "server/sequence_inputs.h"
#include "server/sequences.h"
#include "server/timer.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

BatchSettings WithAllPreferred(BatchSettings settings) {
  if (settings.preferred_rows.empty() || settings.preferred_rows.back() != settings.most_rows) {
    settings.preferred_rows.push_back(settings.most_rows);
  }
  return settings;
}

std::shared_ptr<Sequences> MakeSequences(const QueueSettings& settings,
                                         const ReplicatedObj& entry) {
  if (!settings.sequences) {
    return nullptr;
  }
  return std::make_shared<Sequences>(settings.sequences->idle, settings.sequences->most,
                                     entry.num_interpreters());
}

Status Full(size_t waiting) {
  return {Code::kResourceExhausted,
          "the queue of the model is full: " + std::to_string(waiting) + " requests are waiting"};
}

}  // namespace

void RequestQueue::Ticket::EndEarly(const Status& status) const {
  if (request_ != nullptr) {
    request_->EndEarly(status);
  }
}

RequestQueue::RequestQueue(ReplicatedObj entry, QueueSettings settings,
                           std::shared_ptr<Timer> timer)
    : entry_(std::move(entry)),
      settings_{settings.most_waiting, WithAllPreferred(std::move(settings.batching)),
                std::move(settings.sequences)},
      timer_(std::move(timer)),
      sequences_(MakeSequences(settings_, entry_)) {}

Result<RequestQueue::Ticket> RequestQueue::Submit(Request request) {
  if (request.deadline.has_value() && *request.deadline <= std::chrono::steady_clock::now()) {
    return Status(Code::kDeadlineExceeded, "The request was over its timeout when it arrived.");
  }
  if (settings_.sequences) {
    return SubmitToSequence(settings_.sequences->inputs, std::move(request));
  }
  const Padding& padding = settings_.batching.padding;
  const bool is_model = request.method.empty();
  if (Status status = is_model ? AddLengths(padding, request.arguments) : Status(); !status.ok()) {
    return status;
  }
  std::optional<Rows> rows =
      CanJoin() && is_model ? RowsOf(request.arguments, padding) : std::nullopt;
  if (Status status = CheckRows(rows); !status.ok()) {
    return status;
  }
  const uint64_t urgency = request.priority - 1;  // 0 wraps around, to the last.
  const bool is_alone = !rows.has_value();
  std::shared_ptr<QueuedRequest> queued;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= settings_.most_waiting) {
      return Full(waiting_.size());
    }
    queued = std::make_shared<QueuedRequest>(std::move(request), Rank{urgency, arrivals_++},
                                             std::move(rows));
    queued->WatchDeadline(*timer_);
    Enter(queued, is_alone);
  }
  AskForInterpreters();
  return Ticket(std::move(queued));
}

Result<RequestQueue::Ticket> RequestQueue::SubmitToSequence(const SequenceInputs& inputs,
                                                            Request request) {
  if (!request.sequence) {
    return Status(Code::kInvalidArgument,
                  "the model takes requests of sequences; parameter sequence_id is missing, or 0");
  }
  if (Status status = AddSequenceInputs(inputs, *request.sequence, request.arguments);
      !status.ok()) {
    return status;
  }
  std::shared_ptr<QueuedRequest> queued;
  size_t slot = 0;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_in_sequences_ >= settings_.most_waiting) {
      return Full(waiting_in_sequences_);
    }
    const Result<std::shared_ptr<Sequences::Turn>> turn = sequences_->Enter(*request.sequence);
    if (!turn.ok()) {
      return turn.status();
    }
    slot = (*turn)->slot();
    request.done = [turn = *turn, done = std::move(request.done)](const Result<Value>& result,
                                                                  const RequestTimes& times) {
      done(result, times);
    };
    queued = std::make_shared<QueuedRequest>(std::move(request), Rank{0, arrivals_++},
                                             std::optional<Rows>());
    ++waiting_in_sequences_;
  }
  queued->WatchDeadline(*timer_);
  const Status asked = entry_.CallWhenFree(
      [self = shared_from_this(), queued](size_t at) { return self->CallOfSequence(queued, at); },
      slot);
  if (!asked.ok()) {
    {
      const std::lock_guard lock(mutex_);
      --waiting_in_sequences_;
    }
    queued->EndEarly(asked);
  }
  return Ticket(std::move(queued));
}

std::optional<ReplicatedObj::DueCall> RequestQueue::CallOfSequence(
    std::shared_ptr<QueuedRequest> request, size_t slot) {
  {
    const std::lock_guard lock(mutex_);
    --waiting_in_sequences_;
  }
  const auto run = std::make_shared<BatchRun>(
      BatchRun::Requests{std::move(request)},
      std::shared_ptr<const Padding>(shared_from_this(), &settings_.batching.padding),
      [](const auto& /*alone already*/) {});
  return run->Begin(slot);
}

std::shared_ptr<ModelStream> RequestQueue::NewStream(CallOptions options) {
  return std::make_shared<ModelStream>(entry_, ++streams_, std::move(options));
}

void RequestQueue::Hurry() {
  {
    const std::lock_guard lock(mutex_);
    is_hurried_ = true;
    for (auto& [rank, waiting] : waiting_) {
      waiting.is_overdue = true;
    }
  }
  AskForInterpreters();
}

size_t RequestQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size() + waiting_in_sequences_;
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

void RequestQueue::AskForInterpreters() {
  while (TakeOneToAskFor()) {
    const Status asked = entry_.CallWhenFree(
        [self = shared_from_this()](size_t slot) { return self->NextCall(slot); });
    if (!asked.ok()) {
      EndWaiting(asked);
      return;
    }
  }
}

bool RequestQueue::TakeOneToAskFor() {
  const std::lock_guard lock(mutex_);
  if (asked_for_ >= std::min(waiting_.size(), entry_.num_interpreters()) ||
      FirstDueGroup().requests.empty()) {
    return false;
  }
  ++asked_for_;
  return true;
}

std::optional<ReplicatedObj::DueCall> RequestQueue::NextCall(size_t slot) {
  {
    const std::lock_guard lock(mutex_);
    --asked_for_;
  }
  std::optional<ReplicatedObj::DueCall> call;
  for (BatchRun::Requests batch = TakeBatch(); !batch.empty(); batch = TakeBatch()) {
    const auto run = std::make_shared<BatchRun>(
        std::move(batch),
        std::shared_ptr<const Padding>(shared_from_this(), &settings_.batching.padding),
        [self = shared_from_this()](const auto& requests) { self->RunAlone(requests); });
    call = run->Begin(slot);
    if (call.has_value()) {
      break;
    }
  }
  AskForInterpreters();
  return call;
}

BatchRun::Requests RequestQueue::TakeBatch() {
  const std::lock_guard lock(mutex_);
  Group group = FirstDueGroup();
  LimitToPreferred(group);
  for (const auto& request : group.requests) {
    waiting_.erase(request->rank());
  }
  return std::move(group.requests);
}

void RequestQueue::RunAlone(const BatchRun::Requests& requests) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& request : requests) {
      Enter(request, /*is_alone=*/true);
    }
  }
  AskForInterpreters();
}

void RequestQueue::Remove(const Rank& rank) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.erase(rank);
  }
  AskForInterpreters();  // Those behind it may be due.
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

void RequestQueue::Enter(std::shared_ptr<QueuedRequest> request, bool is_alone) {
  const Rank rank = request->rank();
  const bool is_left = request->HandTo([weak = weak_from_this(), rank] {
    if (const auto self = weak.lock(); self != nullptr) {
      self->Remove(rank);
    }
  });
  if (is_left) {
    Waiting waiting{.request = std::move(request), .is_alone = is_alone};
    WaitForOthers(rank, waiting);
    waiting_.emplace(rank, std::move(waiting));
  }
}

void RequestQueue::WaitForOthers(const Rank& rank, Waiting& waiting) {
  const std::chrono::microseconds delay = settings_.batching.delay;
  waiting.is_overdue = waiting.is_alone || is_hurried_ || delay.count() == 0;
  if (waiting.is_overdue) {
    return;
  }
  waiting.at_delay =
      timer_->At(std::chrono::steady_clock::now() + delay, [weak = weak_from_this(), rank] {
        if (const auto self = weak.lock(); self != nullptr) {
          self->StopWaitingForOthers(rank);
        }
      });
}

RequestQueue::Group RequestQueue::FirstDueGroup() const {
  std::vector<Group> groups;
  std::unordered_map<std::string_view, size_t> group_of_kind;
  for (const auto& [rank, waiting] : waiting_) {
    size_t index = groups.size();
    const std::optional<Rows>& rows = waiting.request->rows();
    if (!waiting.is_alone && rows.has_value()) {
      index = group_of_kind.try_emplace(rows->kind, index).first->second;
    }
    if (index == groups.size()) {
      groups.emplace_back();
    }
    Add(waiting, groups[index]);
    if (groups.front().is_due && groups.front().is_full) {
      break;
    }
  }
  const auto due =
      std::find_if(groups.begin(), groups.end(), [](const Group& group) { return group.is_due; });
  return due == groups.end() ? Group() : std::move(*due);
}

void RequestQueue::Add(const Waiting& waiting, Group& group) const {
  const int64_t rows = group.rows + waiting.request->num_rows();
  if (group.is_full || rows > settings_.batching.most_rows) {
    // For a later call, but then nobody of its kind can be before it in this one.
    group.is_full = true;
    group.is_due = true;
    return;
  }
  group.requests.push_back(waiting.request);
  group.rows = rows;
  group.is_full = waiting.is_alone || rows == settings_.batching.most_rows;
  group.is_due =
      group.is_due || waiting.is_overdue || rows >= settings_.batching.preferred_rows.front();
}

void RequestQueue::LimitToPreferred(Group& group) const {
  const std::vector<int64_t>& preferred = settings_.batching.preferred_rows;
  const auto above = std::upper_bound(preferred.begin(), preferred.end(), group.rows);
  if (above == preferred.begin()) {
    return;
  }
  int64_t rows = group.rows;
  auto end = group.requests.end();
  while (rows > *std::prev(above)) {
    --end;
    rows -= (*end)->num_rows();
  }
  if (rows >= preferred.front()) {
    group.requests.erase(end, group.requests.end());
  }
}

}  // namespace torchdeploy::server
