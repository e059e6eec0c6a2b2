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
  }
  Result<std::shared_ptr<Pool>> pool = Pool::Create(options_, engine);
  if (!pool.ok()) {
    return pool.status();
  }
  const std::lock_guard lock(mutex_);
  if (limit_ != 0) {
    (*pool)->scheduler()->Limit(limit_);
  }
  if (is_closed_) {
    (*pool)->scheduler()->Close();
  }
  PlaceOf(engine) = *pool;
  return pool;
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
  const std::vector<std::shared_ptr<Pool>> made = Made();
  const std::lock_guard lock(mutex_);
  return made.empty() ? size_ : made.front()->size();
}

Status EnginePools::Resize(size_t interpreters) {
  if (Status status = CheckInterpreters(interpreters); !status.ok()) {
    return status;
  }
  const std::lock_guard making(making_mutex_);
  for (const std::shared_ptr<Pool>& pool : Made()) {
    if (Status status = pool->Resize(interpreters); !status.ok()) {
      return status;
    }
  }
  options_.interpreters = static_cast<int>(interpreters);
  const std::lock_guard lock(mutex_);
  size_ = interpreters;
  return {};
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
