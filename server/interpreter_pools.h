// The interpreters that models run in: those that all share, and those that one has for itself.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "server/worker.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// Thread-safe.
class InterpreterPools {
 public:
  // Starts those that are shared. `options` are also those of the others, but for their number.
  static Result<std::unique_ptr<InterpreterPools>> Start(Options options);

  InterpreterPools(const InterpreterPools&) = delete;
  InterpreterPools& operator=(const InterpreterPools&) = delete;
  // Close(). REQUIRES: nobody holds a reserved pool.
  ~InterpreterPools();

  [[nodiscard]] const InterpreterManager& shared() const { return *shared_; }

  // Interpreters for one model, which start when its archive is loaded; `intra_op_threads` as in
  // Options. Whoever lets go of them last may do so in a callback of theirs: they end on another
  // thread. As InterpreterManager::Create().
  [[nodiscard]] Result<std::shared_ptr<const InterpreterManager>> Reserve(int interpreters,
                                                                          int intra_op_threads);

  // InterpreterManager::Close() of all.
  void Close();

 private:
  InterpreterPools(Options options, std::unique_ptr<InterpreterManager> shared,
                   std::shared_ptr<Worker> worker);
  void EndElsewhere(InterpreterManager* ended);

  const Options options_;
  const std::unique_ptr<InterpreterManager> shared_;
  const std::shared_ptr<Worker> worker_;  // Ends the reserved ones.
  std::mutex mutex_;
  std::vector<std::weak_ptr<InterpreterManager>> reserved_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
