// The pool and its interpreters.
#include "torchdeploy/interpreter_manager.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <torch/deploy.h>

#include "runtime/compat/src/manager_record.h"
#include "runtime/compat/src/session_record.h"
#include "runtime/compat/src/status_error.h"

namespace torch::deploy {

namespace {

int CheckedCount(size_t interpreters) {
  // More than it accepts is for the runtime to refuse.
  constexpr size_t kFarTooMany = 1'000'000;
  if (interpreters == 0) {
    throw std::runtime_error("A manager of 0 interpreters was asked for; expected at least 1.");
  }
  return static_cast<int>(std::min(interpreters, kFarTooMany));
}

std::vector<std::byte> ReadAll(const caffe2::serialize::ReadAdapterInterface& reader) {
  std::vector<std::byte> bytes(reader.size());
  for (size_t at = 0; at < bytes.size();) {
    const size_t got = reader.read(at, bytes.data() + at, bytes.size() - at, "an archive");
    if (got == 0) {
      throw std::runtime_error("The reader of an archive gave " + std::to_string(at) + " of " +
                               std::to_string(bytes.size()) + " bytes.");
    }
    at += got;
  }
  return bytes;
}

}  // namespace

InterpreterSession Interpreter::acquireSession() const {
  return SessionRecord::Open(manager_, ValueOf(manager_->native->AcquireSession(slot_)));
}

InterpreterManager::InterpreterManager(size_t interpreters, const std::shared_ptr<Environment>& env)
    : record_(std::make_shared<ManagerRecord>()) {
  record_->native = ValueOf(
      torchdeploy::InterpreterManager::Create({.interpreters = CheckedCount(interpreters)}));
  for (const size_t slot : c10::irange(interpreters)) {
    interpreters_.push_back(Interpreter(record_, slot));
  }
  for (Interpreter& interpreter : interpreters_) {
    for (const std::string& path : env->getExtraPythonPaths()) {
      PathEnvironment(path).configureInterpreter(&interpreter);
    }
    env->configureInterpreter(&interpreter);
  }
}

InterpreterManager::~InterpreterManager() {
  record_->native.reset();
}

InterpreterSession InterpreterManager::acquireOne() {
  return SessionRecord::AcquireAny(record_, *record_->native);
}

at::ArrayRef<Interpreter> InterpreterManager::allInstances() {
  return interpreters_;
}

void InterpreterManager::debugLimitInterpreters(size_t count) {
  if (count > interpreters_.size()) {
    throw std::runtime_error("The limit is " + std::to_string(count) + " interpreters; there are " +
                             std::to_string(interpreters_.size()) + ".");
  }
  Check(record_->native->LimitInterpreters(count));
}

Package InterpreterManager::loadPackage(const std::string& path) {
  return {record_, ValueOf(record_->native->LoadPackage(path))};
}

Package InterpreterManager::loadPackage(
    const std::shared_ptr<caffe2::serialize::ReadAdapterInterface>& reader) {
  return {record_, ValueOf(record_->native->LoadPackage(ReadAll(*reader), "of a reader"))};
}

void InterpreterManager::registerModuleSource(const std::string& name, const std::string& source) {
  Check(record_->native->RegisterModuleSource(name, source));
  const std::lock_guard lock(record_->mutex);
  record_->registered_modules.insert(name);
}

size_t InterpreterManager::countRegisteredModuleSources() {
  const std::lock_guard lock(record_->mutex);
  return 1 + record_->registered_modules.size();
}

ReplicatedObj InterpreterManager::createMovable(const Obj& obj, InterpreterSession* session) {
  return session->createMovable(obj);
}

}  // namespace torch::deploy
