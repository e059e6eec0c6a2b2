#include "runtime/src/pool.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/src/archive_file.h"
#include "runtime/src/engine_choice.h"
#include "runtime/src/engine_loader.h"
#include "runtime/src/interpreter.h"
#include "runtime/src/interpreter_stock.h"
#include "runtime/src/pool_size.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr std::chrono::seconds kIdleWait{20};

std::vector<SlotScheduler::SlotThread> ThreadsOf(const std::vector<Interpreter*>& interpreters) {
  std::vector<SlotScheduler::SlotThread> threads;
  threads.reserve(interpreters.size());
  for (Interpreter* const interpreter : interpreters) {
    threads.push_back({interpreter->thread_id(), [interpreter](std::function<void()> work) {
                         interpreter->Post(std::move(work));
                       }});
  }
  return threads;
}

}  // namespace

Result<std::shared_ptr<Pool>> Pool::Create(const Options& options) {
  const Result<PoolSize> size = ResolvePoolSize(options);
  if (!size.ok()) {
    return size.status();
  }
  Result<std::unique_ptr<EngineLoader>> loader = MakeEngineLoader(options);
  if (!loader.ok()) {
    return loader.status();
  }
  Result<std::vector<Interpreter*>> interpreters = InterpreterStock::OfProcess().Lease(
      *std::move(loader), size->interpreters, size->intra_op_threads);
  if (!interpreters.ok()) {
    return interpreters.status();
  }
  return std::shared_ptr<Pool>(new Pool(*std::move(interpreters)));
}

Pool::Pool(std::vector<Interpreter*> interpreters)
    : interpreters_(std::move(interpreters)),
      scheduler_(std::make_shared<SlotScheduler>(ThreadsOf(interpreters_))) {}

ArchiveFile::WhileIdle Pool::WhileIdle() const {
  return [scheduler = scheduler_](size_t slot, const std::function<void()>& work) {
    const auto deadline = std::chrono::steady_clock::now() + kIdleWait;
    const Result<HeldSlot> held = HeldSlot::Acquire(scheduler, slot, deadline);
    work();
  };
}

void Pool::Retire() {
  scheduler_->Close();
  InterpreterStock::OfProcess().GiveBack(interpreters_);
}

}  // namespace torchdeploy
