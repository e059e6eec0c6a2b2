#include "runtime/src/engine_pools.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "runtime/src/engine_choice.h"
#include "runtime/src/pool.h"
#include "runtime/src/pool_size.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

Status IsClosing() {
  return {Code::kUnavailable, "The interpreter manager is closing."};
}

}  // namespace

Result<std::unique_ptr<EnginePools>> EnginePools::Create(Options options) {
  const Result<PoolSize> size = ResolvePoolSize(options);
  if (!size.ok()) {
    return size.status();
  }
  const bool on_demand = options.on_demand;
  std::unique_ptr<EnginePools> pools(new EnginePools(std::move(options)));
  pools->size_ = size->interpreters;
  if (!on_demand) {
    const Result<std::shared_ptr<Pool>> python = pools->For(ArchiveFormat::kTorchPackage);
    if (!python.ok()) {
      return python.status();
    }
  }
  return pools;
}

std::shared_ptr<Pool>& EnginePools::PlaceOf(EngineKind engine) {
  return engine == EngineKind::kPython ? python_ : native_;
}

Result<std::shared_ptr<Pool>> EnginePools::For(ArchiveFormat format) {
  const EngineKind engine =
      format == ArchiveFormat::kTorchPackage ? EngineKind::kPython : EngineKind::kNative;
  {
    const std::lock_guard lock(mutex_);
    if (PlaceOf(engine) != nullptr) {
      return PlaceOf(engine);
    }
  }
  const std::lock_guard making(making_mutex_);
  return Make(engine);
}

Result<std::shared_ptr<Pool>> EnginePools::Make(EngineKind engine) {
  {
    const std::lock_guard lock(mutex_);
    if (PlaceOf(engine) != nullptr || is_closed_) {
      return is_closed_ ? Result<std::shared_ptr<Pool>>(IsClosing()) : PlaceOf(engine);
    }
    options_.interpreters = static_cast<int>(size_);
  }
  Result<std::shared_ptr<Pool>> pool = Pool::Create(options_, engine);
  if (!pool.ok()) {
    return pool;
  }
  while (!Settle(*pool, engine)) {
    // Of a pool that nobody has yet this waits for nobody.
    if (Status status = (*pool)->Resize(size()); !status.ok()) {
      return status;
    }
  }
  return pool;
}

bool EnginePools::Settle(const std::shared_ptr<Pool>& pool, EngineKind engine) {
  const std::lock_guard lock(mutex_);
  if (pool->size() != size_) {
    return false;
  }
  if (limit_ != 0) {
    pool->scheduler()->Limit(limit_);
  }
  if (is_closed_) {
    pool->scheduler()->Close();
  }
  PlaceOf(engine) = pool;
  return true;
}

std::vector<std::shared_ptr<Pool>> EnginePools::Made() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Pool>> made;
  for (const std::shared_ptr<Pool>& pool : {python_, native_}) {
    if (pool != nullptr) {
      made.push_back(pool);
    }
  }
  return made;
}

size_t EnginePools::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

Status EnginePools::Resize(size_t interpreters) {
  if (Status status = CheckInterpreters(interpreters); !status.ok()) {
    return status;
  }
  // Not making_mutex_: to take interpreters away waits for calls, which may load an archive.
  const std::lock_guard resizing(resizing_mutex_);
  const size_t before = size();
  if (Status status = ResizeMade(interpreters); !status.ok()) {
    const Status ignored = ResizeMade(before);
    return status;
  }
  {
    const std::lock_guard lock(mutex_);
    size_ = interpreters;
  }
  // One that was made meanwhile has the size of before.
  return ResizeMade(interpreters);
}

Status EnginePools::ResizeMade(size_t interpreters) {
  Status first_failure;
  for (const std::shared_ptr<Pool>& pool : Made()) {
    if (first_failure.ok()) {
      first_failure = pool->Resize(interpreters);
    }
  }
  return first_failure;
}

void EnginePools::Limit(size_t interpreters) {
  {
    const std::lock_guard lock(mutex_);
    limit_ = interpreters;
  }
  for (const std::shared_ptr<Pool>& pool : Made()) {
    pool->scheduler()->Limit(interpreters);
  }
}

size_t EnginePools::replaced() const {
  size_t replaced = 0;
  for (const std::shared_ptr<Pool>& pool : Made()) {
    replaced += pool->replaced();
  }
  return replaced;
}

std::vector<InterpreterUsage> EnginePools::Usage() const {
  const std::vector<std::shared_ptr<Pool>> made = Made();
  return made.empty() ? std::vector<InterpreterUsage>() : made.front()->Usage();
}

void EnginePools::Close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  for (const std::shared_ptr<Pool>& pool : Made()) {
    pool->scheduler()->Close();
  }
}

void EnginePools::Retire() {
  Close();
  for (const std::shared_ptr<Pool>& pool : Made()) {
    pool->Retire();
  }
}

}  // namespace torchdeploy
