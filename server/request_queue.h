// The requests of one model that wait for an interpreter.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "server/batch_run.h"
#include "server/joined_arguments.h"
#include "server/model_stream.h"
#include "server/padding.h"
#include "server/queued_request.h"
#include "server/sequence_inputs.h"
#include "server/sequences.h"
#include "server/timer.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// How requests become one call.
struct BatchSettings {
  int64_t most_rows = 1;  // 1: each request is a call of its own.
  // How long a request waits for others to join it. 0: not at all, if an interpreter is free.
  std::chrono::microseconds delay{0};
  // In ascending order, up to `most_rows`, which is always one of them. Who has come to as many
  // rows waits for no more; rows beyond the greatest of these that there are go into the next call.
  std::vector<int64_t> preferred_rows = {};
  Padding padding = {};
};

struct QueueSettings {
  size_t most_waiting = 1000;  // Requests that no interpreter has taken; more are refused.
  BatchSettings batching = {};
  // Each request is then of a sequence, and a call of its own, in the order of arrival.
  std::optional<SequenceSettings> sequences = {};
};

// Bounded, in order of priority, then of arrival; for a model with sequences in that of arrival,
// each request in the interpreter of its sequence. It asks the runtime for no more interpreters at
// once than there are, and there queues take turns, whatever waits in one of them; which requests
// run is decided when there is an interpreter for them. Thread-safe.
//
// Every request that is accepted gets exactly one answer; once the manager is closing that is
// kUnavailable.
class RequestQueue : public std::enable_shared_from_this<RequestQueue> {
 public:
  // Of a request that was accepted. May outlive the queue; thread-safe.
  class Ticket {
   public:
    Ticket() = default;
    // Answers `status` at once, unless there is an answer, and interrupts what runs.
    void EndEarly(const Status& status) const;

   private:
    friend class RequestQueue;
    explicit Ticket(std::shared_ptr<QueuedRequest> request) : request_(std::move(request)) {}

    std::shared_ptr<QueuedRequest> request_;
  };

  RequestQueue(ReplicatedObj entry, QueueSettings settings, std::shared_ptr<Timer> timer);

  // Adds the lengths that the model's padding asks for. Not accepted, and `done` is not called:
  // kResourceExhausted, with the number of those that wait, when they are too many, or when there
  // is no memory for the lengths; kDeadlineExceeded when the deadline is over; kInvalidArgument
  // for more rows than a batch may have; for a model with sequences also as Sequences::Enter().
  Result<Ticket> Submit(Request request);

  // For a request whose method is ModelStream::kBegin.
  [[nodiscard]] std::shared_ptr<ModelStream> NewStream(CallOptions options);

  // From now on no request waits for others to join it.
  void Hurry();

  [[nodiscard]] size_t waiting() const;
  [[nodiscard]] const QueueSettings& settings() const { return settings_; }
  [[nodiscard]] size_t num_interpreters() const { return entry_.num_interpreters(); }

 private:
  struct Waiting {
    std::shared_ptr<QueuedRequest> request;
    bool is_alone = false;    // Not to be joined with others.
    bool is_overdue = false;  // Not to be waited for others.
    Timer::Appointment at_delay = {};
  };
  using WaitingRequests = std::map<Rank, Waiting>;

  // Those that can be one call, in their order.
  struct Group {
    BatchRun::Requests requests;
    int64_t rows = 0;
    bool is_full = false;  // Nobody of equal priority can join any more.
    bool is_due = false;
  };

  Result<Ticket> SubmitToSequence(const SequenceInputs& inputs, Request request);
  // On its interpreter's thread, when that is free.
  std::optional<ReplicatedObj::DueCall> CallOfSequence(std::shared_ptr<QueuedRequest> request,
                                                       size_t slot);

  [[nodiscard]] bool CanJoin() const { return settings_.batching.most_rows > 1; }
  [[nodiscard]] Status CheckRows(const std::optional<Rows>& rows) const;

  // Asks the runtime for as many interpreters as are needed and not asked for.
  void AskForInterpreters();
  bool TakeOneToAskFor();
  // On an interpreter's thread, when it is free.
  std::optional<ReplicatedObj::DueCall> NextCall(size_t slot);
  BatchRun::Requests TakeBatch();
  void RunAlone(const BatchRun::Requests& requests);
  void Remove(const Rank& rank);
  void StopWaitingForOthers(const Rank& rank);
  // What waits when no interpreter can be had any more.
  void EndWaiting(const Status& status);

  // What follows REQUIRES: mutex_ is held.
  // Adds it unless it has an answer.
  void Enter(std::shared_ptr<QueuedRequest> request, bool is_alone);
  void WaitForOthers(const Rank& rank, Waiting& waiting);
  // The first that is to be called now; without requests when there is none.
  [[nodiscard]] Group FirstDueGroup() const;
  void Add(const Waiting& waiting, Group& group) const;
  // Lets those go into the next call that are too many for a preferred size.
  void LimitToPreferred(Group& group) const;

  const ReplicatedObj entry_;
  const QueueSettings settings_;
  const std::shared_ptr<Timer> timer_;
  const std::shared_ptr<Sequences> sequences_;  // Null for a model without.
  std::atomic<int64_t> streams_ = 0;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  WaitingRequests waiting_;
  size_t waiting_in_sequences_ = 0;
  uint64_t arrivals_ = 0;
  size_t asked_for_ = 0;  // Interpreters.
  bool is_hurried_ = false;
};

}  // namespace torchdeploy::server
