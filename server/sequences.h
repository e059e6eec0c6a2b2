// Requests that belong together, and the interpreter that they go to.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// What a request says of its sequence.
struct SequenceStep {
  std::string id;  // A number as text, or any text.
  bool is_number = true;
  bool is_start = false;
  bool is_end = false;
};

// The sequences of one model that have begun and not ended. One that has no request for a while is
// forgotten. Thread-safe.
class Sequences : public std::enable_shared_from_this<Sequences> {
 private:
  struct State;

 public:
  // One request's part of its sequence, which is not idle meanwhile.
  class Turn {
   public:
    Turn(std::shared_ptr<Sequences> sequences, std::shared_ptr<State> state);
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

    [[nodiscard]] size_t slot() const;

   private:
    const std::shared_ptr<Sequences> sequences_;
    const std::shared_ptr<State> state_;
  };

  // At most `most` at once, in slots from 0 to before `slots`. REQUIRES: slots > 0.
  Sequences(std::chrono::milliseconds idle, size_t most, size_t slots);

  // With a start, a sequence begins, or begins again where it is: where the fewest others are. With
  // an end, it is over for those that come later. kInvalidArgument: it has not begun, or was
  // forgotten. kResourceExhausted: too many have begun.
  Result<std::shared_ptr<Turn>> Enter(const SequenceStep& step);

  [[nodiscard]] size_t size() const;

 private:
  using Clock = std::chrono::steady_clock;

  struct State {
    size_t slot = 0;
    size_t turns = 0;  // Requests that have no answer.
    Clock::time_point idle_since = Clock::now();
  };
  using States = std::unordered_map<std::string, std::shared_ptr<State>>;

  // What follows REQUIRES: mutex_ is held.
  Result<std::shared_ptr<State>> Find(const SequenceStep& step);
  Result<std::shared_ptr<State>> BeginNew(const std::string& id);
  [[nodiscard]] bool IsIdle(const State& state) const;
  void ForgetIdle();
  States::iterator Forget(States::iterator state);

  const std::chrono::milliseconds idle_;
  const size_t most_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  States states_;                // By id.
  std::vector<size_t> in_slot_;  // How many of them.
};

}  // namespace torchdeploy::server
