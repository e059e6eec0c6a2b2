// The interpreters of one manager, and who may use them.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "runtime/src/archive_file.h"
#include "runtime/src/interpreter.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Thread-safe. Packages and objects may outlive their manager and then hold a closed pool.
class Pool {
 public:
  // Fails as InterpreterManager::Create() does.
  static Result<std::shared_ptr<Pool>> Create(const Options& options);

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  [[nodiscard]] size_t size() const { return interpreters_.size(); }
  [[nodiscard]] Interpreter& interpreter(size_t slot) const { return *interpreters_[slot]; }
  [[nodiscard]] const std::shared_ptr<SlotScheduler>& scheduler() const { return scheduler_; }

  // For an archive that this pool's interpreters map. Waits as a caller does, but not for
  // ever: the kernel ends a lease 45 s after somebody wants to change the file. Once the pool
  // has retired, its interpreters are always idle.
  [[nodiscard]] ArchiveFile::WhileIdle WhileIdle() const;

  // Closes the scheduler and gives the interpreters back to the stock. Once, at the end.
  void Retire();

 private:
  explicit Pool(std::vector<Interpreter*> interpreters);

  const std::vector<Interpreter*> interpreters_;  // They live as long as the process.
  const std::shared_ptr<SlotScheduler> scheduler_;
};

}  // namespace torchdeploy
