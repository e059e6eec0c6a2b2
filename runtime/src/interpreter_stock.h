// All interpreters of this process, leased to managers and given back.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/src/engine_loader.h"
#include "runtime/src/interpreter.h"
#include "torchdeploy/status.h"

#include <sys/types.h>

namespace torchdeploy {

// Thread-safe. Interpreters cannot be unloaded, so the stock owns each of them for ever; a
// manager that is made again with the same engine gets the same ones.
class InterpreterStock {
 public:
  static InterpreterStock& OfProcess();

  // The first loader of that identity that came here, which may be this one: what it has loaded
  // stays, and serves the managers that are made later, too.
  std::shared_ptr<EngineLoader> FirstOf(std::shared_ptr<EngineLoader> loader);

  // One interpreter for each of `count` slots from `first` on; those that are not in stock are
  // started side by side. All or none.
  Result<std::vector<Interpreter*>> Lease(const std::shared_ptr<EngineLoader>& loader, size_t first,
                                          size_t count, const InterpreterTraits& traits);
  // Cleans them, for which it waits, but not for ever: one that hangs is abandoned.
  void GiveBack(const std::vector<Interpreter*>& interpreters);
  // Instead of GiveBack(), for an interpreter in which something hangs: it is never used again.
  void Abandon(const Interpreter* interpreter);

  // Stops all interpreters side by side, once, and waits for that: not for ever, since what
  // hangs in one must not hold up the end of the process. By itself at exit().
  void StopAll();

 private:
  struct Entry {
    std::unique_ptr<Interpreter> interpreter;
    bool available = false;  // Neither leased, nor starting, nor failed.
    bool started = false;    // And not abandoned.
  };

  InterpreterStock();

  // Marks as leased what is in stock and begins to start the rest.
  std::vector<Interpreter*> TakeOrStart(const std::shared_ptr<EngineLoader>& loader, size_t first,
                                        size_t count, const InterpreterTraits& traits);
  Interpreter* TakeOrStartOne(const std::shared_ptr<EngineLoader>& loader,
                              const InterpreterKind& kind);
  std::vector<std::future<void>> BeginToStop();
  Entry& EntryOf(const Interpreter* interpreter);

  const pid_t process_;  // A child that was forked has none of the threads.
  std::atomic<bool> stopping_ = false;

  std::mutex mutex_;
  // Guarded by mutex_. Both only grow.
  std::vector<Entry> entries_;
  std::map<std::string, std::shared_ptr<EngineLoader>> loaders_;  // By identity.
};

}  // namespace torchdeploy
