// The interpreters of one manager, by what runs in them.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "runtime/src/engine_choice.h"
#include "runtime/src/pool.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Thread-safe. A pool is made when an archive first needs it; that of Python at once, unless
// Options::on_demand asks otherwise. All have the same number of interpreters.
class EnginePools {
 public:
  // Fails as InterpreterManager::Create() does.
  static Result<std::unique_ptr<EnginePools>> Create(Options options);

  EnginePools(const EnginePools&) = delete;
  EnginePools& operator=(const EnginePools&) = delete;

  // The one that runs archives of that format. Fails as InterpreterManager::Create() does;
  // kUnavailable once closed.
  Result<std::shared_ptr<Pool>> For(ArchiveFormat format);

  // As InterpreterManager's functions of these names.
  [[nodiscard]] size_t size() const;
  Status Resize(size_t interpreters);
  void Limit(size_t interpreters);
  [[nodiscard]] size_t replaced() const;
  [[nodiscard]] std::vector<InterpreterUsage> Usage() const;
  void Close();

  // Pool::Retire() of each. Once, at the end.
  void Retire();

 private:
  explicit EnginePools(Options options) : options_(std::move(options)) {}

  // Those that there are, Python's first.
  [[nodiscard]] std::vector<std::shared_ptr<Pool>> Made() const;
  [[nodiscard]] std::shared_ptr<Pool>& PlaceOf(EngineKind engine);
  // Stops at the first failure, and leaves those before it resized.
  Status ResizeMade(size_t interpreters);
  // REQUIRES: making_mutex_ is held.
  Result<std::shared_ptr<Pool>> Make(EngineKind engine);
  // Whether the pool, new, has the size that is asked for by now, and so is the engine's.
  bool Settle(const std::shared_ptr<Pool>& pool, EngineKind engine);

  std::mutex resizing_mutex_;  // One Resize() at a time.
  std::mutex making_mutex_;    // One Make() at a time; others read what is there.
  Options options_;            // Guarded by making_mutex_.

  mutable std::mutex mutex_;  // Never held while a pool does anything.
  // Guarded by mutex_.
  std::shared_ptr<Pool> python_;
  std::shared_ptr<Pool> native_;
  size_t size_ = 0;
  size_t limit_ = 0;  // 0: none.
  bool is_closed_ = false;
};

}  // namespace torchdeploy
