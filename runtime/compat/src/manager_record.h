// What a manager and the handles that it gave share.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "torchdeploy/interpreter_manager.h"

namespace torch::deploy {

struct ManagerRecord {
  std::unique_ptr<torchdeploy::InterpreterManager> native;  // Null once the manager is destroyed.

  std::mutex mutex;
  std::set<std::string> registered_modules;  // Guarded by mutex.
};

}  // namespace torch::deploy
