#include "server/interpreter_pools.h"

#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "server/worker.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

Result<std::unique_ptr<InterpreterPools>> InterpreterPools::Start(Options options) {
  Result<std::unique_ptr<InterpreterManager>> shared = InterpreterManager::Create(options);
  if (!shared.ok()) {
    return shared.status();
  }
  Result<std::shared_ptr<Worker>> worker = Worker::Start();
  if (!worker.ok()) {
    return worker.status();
  }
  return std::unique_ptr<InterpreterPools>(
      new InterpreterPools(std::move(options), *std::move(shared), *std::move(worker)));
}

InterpreterPools::InterpreterPools(Options options, std::unique_ptr<InterpreterManager> shared,
                                   std::shared_ptr<Worker> worker)
    : options_(std::move(options)), shared_(std::move(shared)), worker_(std::move(worker)) {}

InterpreterPools::~InterpreterPools() {
  Close();
  worker_->Stop();
}

Result<std::shared_ptr<const InterpreterManager>> InterpreterPools::Reserve(int interpreters,
                                                                            int intra_op_threads) {
  Options options = options_;
  options.interpreters = interpreters;
  options.intra_op_threads = intra_op_threads;
  // Which kind of them the model needs is known with its archive.
  options.on_demand = true;
  Result<std::unique_ptr<InterpreterManager>> created =
      InterpreterManager::Create(std::move(options));
  if (!created.ok()) {
    return created.status();
  }
  std::shared_ptr<InterpreterManager> reserved(
      created->release(), [this](InterpreterManager* ended) { EndElsewhere(ended); });
  const std::lock_guard lock(mutex_);
  std::erase_if(reserved_, [](const auto& pool) { return pool.expired(); });
  reserved_.push_back(reserved);
  return std::shared_ptr<const InterpreterManager>(std::move(reserved));
}

void InterpreterPools::EndElsewhere(InterpreterManager* ended) {
  std::shared_ptr<InterpreterManager> last(ended);
  // Once the worker has stopped nobody calls back, and it ends here.
  std::ignore = worker_->Post([last = std::move(last)]() mutable { last.reset(); });
}

void InterpreterPools::Close() {
  shared_->Close();
  std::vector<std::weak_ptr<InterpreterManager>> reserved;
  {
    const std::lock_guard lock(mutex_);
    reserved = reserved_;
  }
  for (const auto& pool : reserved) {
    if (const std::shared_ptr<InterpreterManager> living = pool.lock(); living != nullptr) {
      living->Close();
    }
  }
}

}  // namespace torchdeploy::server
