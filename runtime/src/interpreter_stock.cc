#include "runtime/src/interpreter_stock.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/src/engine_loader.h"
#include "runtime/src/interpreter.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

// A finaliser of a model's object that never ends is the only reason to wait so long.
constexpr std::chrono::seconds kCleaningWait{10};
// For all that models have left to do. Documented in process_exit.h.
constexpr std::chrono::seconds kStopWait{10};

}  // namespace

InterpreterStock::InterpreterStock() : process_(getpid()) {
  std::atexit([] { OfProcess().StopAll(); });
}

InterpreterStock& InterpreterStock::OfProcess() {
  // Never destroyed: at exit() the interpreters' threads still wait in it, and a last Obj
  // may still be dropped.
  static auto* const stock = new InterpreterStock;  // NOLINT(cppcoreguidelines-owning-memory)
  return *stock;
}

std::shared_ptr<EngineLoader> InterpreterStock::FirstOf(std::shared_ptr<EngineLoader> loader) {
  const std::lock_guard lock(mutex_);
  std::string identity = loader->identity();
  return loaders_.emplace(std::move(identity), std::move(loader)).first->second;
}

Result<std::vector<Interpreter*>> InterpreterStock::Lease(
    const std::shared_ptr<EngineLoader>& loader, size_t first, size_t count,
    const InterpreterTraits& traits) {
  const std::vector<Interpreter*> interpreters = TakeOrStart(loader, first, count, traits);
  Status first_failure;
  std::vector<Interpreter*> started;
  for (Interpreter* const interpreter : interpreters) {
    Status status = interpreter->WaitUntilStarted();  // Of each, because all use the loader.
    if (status.ok()) {
      started.push_back(interpreter);
    } else if (first_failure.ok()) {
      first_failure = status;
    }
  }
  {
    const std::lock_guard lock(mutex_);
    for (const Interpreter* const interpreter : started) {
      EntryOf(interpreter).started = true;
    }
  }
  if (!first_failure.ok()) {
    GiveBack(started);
    return first_failure;
  }
  return interpreters;
}

std::vector<Interpreter*> InterpreterStock::TakeOrStart(const std::shared_ptr<EngineLoader>& loader,
                                                        size_t first, size_t count,
                                                        const InterpreterTraits& traits) {
  const std::lock_guard lock(mutex_);
  std::vector<Interpreter*> interpreters;
  interpreters.reserve(count);
  for (size_t slot = first; slot < first + count; ++slot) {
    interpreters.push_back(
        TakeOrStartOne(loader, {loader->identity(), static_cast<uint32_t>(slot), traits}));
  }
  return interpreters;
}

Interpreter* InterpreterStock::TakeOrStartOne(const std::shared_ptr<EngineLoader>& loader,
                                              const InterpreterKind& kind) {
  for (Entry& entry : entries_) {
    if (entry.available && entry.interpreter->kind() == kind) {
      entry.available = false;
      return entry.interpreter.get();
    }
  }
  const auto number = static_cast<uint32_t>(entries_.size() + 1);
  entries_.push_back({std::make_unique<Interpreter>(kind, number, loader), false, false});
  return entries_.back().interpreter.get();
}

InterpreterStock::Entry& InterpreterStock::EntryOf(const Interpreter* interpreter) {
  return *std::find_if(entries_.begin(), entries_.end(),
                       [&](const Entry& entry) { return entry.interpreter.get() == interpreter; });
}

void InterpreterStock::GiveBack(const std::vector<Interpreter*>& interpreters) {
  std::vector<std::future<void>> cleaning;
  cleaning.reserve(interpreters.size());
  for (Interpreter* const interpreter : interpreters) {
    cleaning.push_back(interpreter->Clean());
  }
  const auto deadline = std::chrono::steady_clock::now() + kCleaningWait;
  for (size_t i = 0; i < interpreters.size(); ++i) {
    if (cleaning[i].wait_until(deadline) == std::future_status::ready) {
      const std::lock_guard lock(mutex_);
      EntryOf(interpreters[i]).available = true;
    } else {
      Abandon(interpreters[i]);
    }
  }
}

void InterpreterStock::Abandon(const Interpreter* interpreter) {
  const std::lock_guard lock(mutex_);
  EntryOf(interpreter).started = false;
}

std::vector<std::future<void>> InterpreterStock::BeginToStop() {
  const std::lock_guard lock(mutex_);
  std::vector<std::future<void>> stopping;
  for (const Entry& entry : entries_) {
    // A callback that ends the process is on an interpreter's own thread.
    if (entry.started && entry.interpreter->thread_id() != std::this_thread::get_id()) {
      stopping.push_back(entry.interpreter->Stop());
    }
  }
  return stopping;
}

void InterpreterStock::StopAll() {
  if (getpid() != process_ || stopping_.exchange(true)) {
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + kStopWait;
  for (const std::future<void>& stopped : BeginToStop()) {
    stopped.wait_until(deadline);
  }
}

}  // namespace torchdeploy
