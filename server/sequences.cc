#include "server/sequences.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

Sequences::Turn::Turn(std::shared_ptr<Sequences> sequences, std::shared_ptr<State> state)
    : sequences_(std::move(sequences)), state_(std::move(state)) {}

Sequences::Turn::~Turn() {
  const std::lock_guard lock(sequences_->mutex_);
  --state_->turns;
  state_->idle_since = Clock::now();
}

size_t Sequences::Turn::slot() const {
  return state_->slot;
}

Sequences::Sequences(std::chrono::milliseconds idle, size_t most, size_t slots)
    : idle_(idle), most_(most), in_slot_(slots) {}

Result<std::shared_ptr<Sequences::Turn>> Sequences::Enter(const SequenceStep& step) {
  const std::lock_guard lock(mutex_);
  Result<std::shared_ptr<State>> state = Find(step);
  if (!state.ok()) {
    return state.status();
  }
  ++(*state)->turns;
  if (step.is_end) {
    Forget(states_.find(step.id));
  }
  return std::make_shared<Turn>(shared_from_this(), *std::move(state));
}

size_t Sequences::size() const {
  const std::lock_guard lock(mutex_);
  return states_.size();
}

Result<std::shared_ptr<Sequences::State>> Sequences::Find(const SequenceStep& step) {
  const auto found = states_.find(step.id);
  if (found != states_.end() && !IsIdle(*found->second)) {
    return found->second;
  }
  if (found != states_.end()) {
    Forget(found);
  }
  if (step.is_start) {
    return BeginNew(step.id);
  }
  return Status(Code::kInvalidArgument,
                "sequence '" + step.id +
                    "' has not begun, has ended, or was without a request for too long; its first "
                    "request has the parameter sequence_start");
}

Result<std::shared_ptr<Sequences::State>> Sequences::BeginNew(const std::string& id) {
  if (states_.size() >= most_) {
    ForgetIdle();
  }
  if (states_.size() >= most_) {
    return Status(Code::kResourceExhausted,
                  std::to_string(states_.size()) + " sequences of the model have begun and not " +
                      "ended; " + std::to_string(most_) + " are the most");
  }
  const auto state = std::make_shared<State>();
  state->slot = static_cast<size_t>(std::ranges::min_element(in_slot_) - in_slot_.begin());
  ++in_slot_[state->slot];
  states_.emplace(id, state);
  return state;
}

bool Sequences::IsIdle(const State& state) const {
  return state.turns == 0 && Clock::now() - state.idle_since > idle_;
}

void Sequences::ForgetIdle() {
  for (auto state = states_.begin(); state != states_.end();) {
    state = IsIdle(*state->second) ? Forget(state) : std::next(state);
  }
}

Sequences::States::iterator Sequences::Forget(States::iterator state) {
  --in_slot_[state->second->slot];
  return states_.erase(state);
}

}  // namespace torchdeploy::server
