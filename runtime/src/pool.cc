#include "runtime/src/pool.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/archive_file.h"
#include "runtime/src/call_watch.h"
#include "runtime/src/core_pinning.h"
#include "runtime/src/engine.h"
#include "runtime/src/engine_choice.h"
#include "runtime/src/engine_loader.h"
#include "runtime/src/every_slot.h"
#include "runtime/src/interpreter.h"
#include "runtime/src/interpreter_stock.h"
#include "runtime/src/pool_size.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr std::chrono::seconds kIdleWait{20};
constexpr std::chrono::seconds kReplaceEvery{5};

SlotScheduler::SlotThread ThreadOf(Interpreter* interpreter) {
  return {interpreter->thread_id(),
          [interpreter](std::function<void()> work) { interpreter->Post(std::move(work)); }};
}

LockWaits LockWaitsOf(const td_usage& usage) {
  LockWaits waits{.total = std::chrono::nanoseconds(usage.lock_wait_ns)};
  static_assert(std::tuple_size_v<decltype(waits.by_bound)> == TD_LOCK_WAIT_BUCKETS);
  std::ranges::copy(usage.lock_waits, waits.by_bound.begin());
  return waits;
}

}  // namespace

Result<std::shared_ptr<Pool>> Pool::Create(const Options& options, EngineKind engine) {
  const Result<PoolSize> size = ResolvePoolSize(options);
  if (!size.ok()) {
    return size.status();
  }
  Result<std::unique_ptr<EngineLoader>> loader = MakeEngineLoader(options, engine);
  if (!loader.ok()) {
    return loader.status();
  }
  Result<std::unique_ptr<CallWatch>> watch = CallWatch::Start();
  if (!watch.ok()) {
    return watch.status();
  }
  std::shared_ptr<Pool> pool(new Pool(InterpreterStock::OfProcess().FirstOf(*std::move(loader)),
                                      *std::move(watch),
                                      {size->intra_op_threads, options.pin_cores}, options.log));
  if (Status status = pool->Resize(size->interpreters); !status.ok()) {
    return status;
  }
  return pool;
}

Pool::Pool(std::shared_ptr<EngineLoader> loader, std::unique_ptr<CallWatch> watch,
           InterpreterTraits traits, std::function<void(const std::string&)> log)
    : loader_(std::move(loader)),
      watch_(std::move(watch)),
      traits_(traits),
      log_(std::move(log)),
      scheduler_(std::make_shared<SlotScheduler>()) {}

Pool::Tenant Pool::tenant(size_t slot) const {
  const std::lock_guard lock(tenants_mutex_);
  return tenants_[slot];
}

std::vector<InterpreterUsage> Pool::Usage() const {
  const std::vector<std::chrono::nanoseconds> busy = scheduler_->BusyTimes();
  const std::lock_guard lock(tenants_mutex_);
  std::vector<InterpreterUsage> usage;
  for (size_t slot = 0; slot < std::min(busy.size(), tenants_.size()); ++slot) {
    const td_usage of_engine = tenants_[slot].interpreter->engine().Usage();
    usage.push_back({.busy = busy[slot],
                     .lock_waits = LockWaitsOf(of_engine),
                     .python_bytes = of_engine.python_bytes});
  }
  return usage;
}

void Pool::Settle(size_t slot, Interpreter* interpreter) {
  const std::lock_guard lock(tenants_mutex_);
  if (slot == tenants_.size()) {
    tenants_.emplace_back();
  }
  tenants_[slot] = {interpreter, ++leases_};
}

std::vector<Interpreter*> Pool::EvictFrom(size_t slot) {
  const std::lock_guard lock(tenants_mutex_);
  std::vector<Interpreter*> evicted;
  for (; tenants_.size() > slot; tenants_.pop_back()) {
    evicted.push_back(tenants_.back().interpreter);
  }
  return evicted;
}

Status Pool::Resize(size_t interpreters) {
  if (Status status = CheckInterpreters(interpreters); !status.ok()) {
    return status;
  }
  const std::lock_guard resizing(resize_mutex_);
  if (is_retired_) {
    return {Code::kUnavailable, "The interpreter manager is closing."};
  }
  const size_t before = size();
  if (interpreters < before) {
    Status status = scheduler_->Remove(interpreters);
    if (status.ok()) {
      InterpreterStock::OfProcess().GiveBack(EvictFrom(interpreters));
    }
    return status;
  }
  const Result<std::vector<Interpreter*>> leased = LeaseBesideCalls(before, interpreters);
  if (!leased.ok()) {
    return leased.status();
  }
  const std::lock_guard joining(modules_mutex_);
  for (Interpreter* const interpreter : *leased) {
    GiveRegisteredModules(interpreter->engine());
    Settle(size(), interpreter);
    scheduler_->Add(ThreadOf(interpreter));
  }
  return {};
}

Result<std::vector<Interpreter*>> Pool::LeaseBesideCalls(size_t first, size_t end) const {
  InterpreterStock& stock = InterpreterStock::OfProcess();
  const size_t cores = UsableCores().size();
  const size_t needed = first * static_cast<size_t>(traits_.intra_op_threads);
  const size_t at_once = needed < cores ? cores - needed : 1;
  std::vector<Interpreter*> all;
  while (first + all.size() < end) {
    const size_t slot = first + all.size();
    const Result<std::vector<Interpreter*>> leased =
        stock.Lease(loader_, slot, std::min(at_once, end - slot), traits_);
    if (!leased.ok()) {
      stock.GiveBack(all);
      return leased.status();
    }
    all.insert(all.end(), leased->begin(), leased->end());
  }
  return all;
}

void Pool::GiveRegisteredModules(Engine& engine) {
  for (const auto& [name, source] : modules_) {
    // Each was accepted by an interpreter before, or is refused there at this moment.
    const Status ignored = engine.RegisterModule(name, source);
  }
}

Status Pool::RegisterModule(const std::string& name, const std::string& source) {
  {
    const std::lock_guard lock(modules_mutex_);
    modules_.emplace_back(name, source);
  }
  Status status = InEverySlot(*scheduler_, [self = shared_from_this(), name, source](size_t slot) {
    return self->engine(slot).RegisterModule(name, source);
  });
  if (!status.ok()) {
    const std::lock_guard lock(modules_mutex_);
    std::erase(modules_, std::pair(name, source));
  }
  return status;
}

void Pool::ReplaceSoon(size_t slot) {
  try {
    std::thread([self = shared_from_this(), slot] { self->Replace(slot); }).detach();
  } catch (const std::system_error& error) {
    Log("Interpreter " + std::to_string(slot) +
        " hangs and cannot be replaced, for no thread can be started: " + error.what() + ".");
  }
}

void Pool::Replace(size_t slot) {
  const std::string name = "Interpreter " + std::to_string(slot);
  InterpreterStock& stock = InterpreterStock::OfProcess();
  stock.Abandon(tenant(slot).interpreter);
  Result<std::vector<Interpreter*>> leased = stock.Lease(loader_, slot, 1, traits_);
  while (!leased.ok()) {
    Log(name + " hangs and could not be replaced yet: " + leased.status().message());
    std::this_thread::sleep_for(kReplaceEvery);
    leased = stock.Lease(loader_, slot, 1, traits_);
  }
  Interpreter* const interpreter = leased->front();
  const std::lock_guard joining(modules_mutex_);
  GiveRegisteredModules(interpreter->engine());
  Settle(slot, interpreter);
  replaced_.fetch_add(1);  // Before anybody can be answered by it.
  scheduler_->Replace(slot, ThreadOf(interpreter));
  Log(name + " did not end a call that was over its deadline or cancelled, and was replaced.");
}

void Pool::Log(const std::string& line) const {
  if (log_) {
    log_(line);
  }
}

ArchiveFile::WhileIdle Pool::WhileIdle() const {
  return [scheduler = scheduler_](size_t slot, const std::function<void()>& work) {
    const auto deadline = std::chrono::steady_clock::now() + kIdleWait;
    const Result<HeldSlot> held = HeldSlot::Acquire(scheduler, slot, deadline);
    work();
  };
}

void Pool::Retire() {
  scheduler_->Close();
  const std::lock_guard resizing(resize_mutex_);
  is_retired_ = true;
  InterpreterStock::OfProcess().GiveBack(EvictFrom(0));
}

}  // namespace torchdeploy
