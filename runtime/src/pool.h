// The interpreters of one manager, and who may use them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/src/archive_file.h"
#include "runtime/src/call_watch.h"
#include "runtime/src/engine.h"
#include "runtime/src/engine_choice.h"
#include "runtime/src/engine_loader.h"
#include "runtime/src/interpreter.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Thread-safe. Packages and objects may outlive their manager and then hold a closed pool.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  // Who works in a slot. Each lease has a number of its own.
  struct Tenant {
    Interpreter* interpreter;  // Lives as long as the process.
    uint64_t lease;
  };

  // Fails as InterpreterManager::Create() does.
  static Result<std::shared_ptr<Pool>> Create(const Options& options, EngineKind engine);

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  [[nodiscard]] size_t size() const { return scheduler_->size(); }
  // REQUIRES: this thread holds the slot.
  [[nodiscard]] Tenant tenant(size_t slot) const;
  [[nodiscard]] Engine& engine(size_t slot) const { return tenant(slot).interpreter->engine(); }
  [[nodiscard]] const std::shared_ptr<SlotScheduler>& scheduler() const { return scheduler_; }

  // As InterpreterManager's function of this name.
  [[nodiscard]] std::vector<InterpreterUsage> Usage() const;

  [[nodiscard]] CallWatch& watch() const { return *watch_; }

  // As InterpreterManager's functions of these names.
  Status Resize(size_t interpreters);
  Status RegisterModule(const std::string& name, const std::string& source);

  // Has another interpreter take the place of the one in `slot`, whose job does not end; begins
  // it on a thread of its own and returns at once.
  void ReplaceSoon(size_t slot);
  [[nodiscard]] size_t replaced() const { return replaced_.load(); }

  // For an archive that this pool's interpreters map. Waits as a caller does, but not for
  // ever: the kernel ends a lease 45 s after somebody wants to change the file. Once the pool
  // has retired, its interpreters are always idle.
  [[nodiscard]] ArchiveFile::WhileIdle WhileIdle() const;

  // Closes the scheduler and gives the interpreters back to the stock. Once, at the end.
  void Retire();

 private:
  Pool(std::shared_ptr<EngineLoader> loader, std::unique_ptr<CallWatch> watch,
       InterpreterTraits traits, std::function<void(const std::string&)> log);

  // Interpreters for the slots from `first` to before `end`. As many are started at once as there
  // are cores that the interpreters before `first` do not need: to start one takes a core for
  // seconds, and calls would wait for it.
  [[nodiscard]] Result<std::vector<Interpreter*>> LeaseBesideCalls(size_t first, size_t end) const;
  void Settle(size_t slot, Interpreter* interpreter);
  std::vector<Interpreter*> EvictFrom(size_t slot);
  // REQUIRES: modules_mutex_ is held.
  void GiveRegisteredModules(Engine& engine);
  void Replace(size_t slot);
  void Log(const std::string& line) const;

  const std::shared_ptr<EngineLoader> loader_;
  const std::unique_ptr<CallWatch> watch_;
  const InterpreterTraits traits_;
  const std::function<void(const std::string&)> log_;
  const std::shared_ptr<SlotScheduler> scheduler_;
  std::atomic<size_t> replaced_ = 0;

  mutable std::mutex tenants_mutex_;
  // Guarded by tenants_mutex_.
  std::vector<Tenant> tenants_;  // By slot.
  uint64_t leases_ = 0;

  std::mutex resize_mutex_;  // One Resize() at a time, and none once the pool has retired.
  bool is_retired_ = false;  // Guarded by resize_mutex_.

  // Held while an interpreter joins, so that none misses a module.
  std::mutex modules_mutex_;
  std::vector<std::pair<std::string, std::string>> modules_;  // Guarded by it. Name and source.
};

}  // namespace torchdeploy
