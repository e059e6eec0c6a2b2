#include "tests/cpp/runtime/fake_pool.h"

#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/options.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/must.h"
#include "tests/fakes/archive_writer.h"

namespace torchdeploy {

TemporaryFolder::TemporaryFolder() {
  path_ = ::testing::TempDir() + "/torchdeploy_XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) {
    std::abort();
  }
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Options FakeOptions(int interpreters) {
  Options options;
  options.interpreters = interpreters;
  options.engine_library = TD_FAKE_ENGINE;
  return options;
}

std::unique_ptr<InterpreterManager> MakeManager(int interpreters) {
  return Must(InterpreterManager::Create(FakeOptions(interpreters)));
}

Package LoadArchive(const InterpreterManager& manager) {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    std::string file = folder.File("plain.pt");
    fakes::WriteArchive(file, std::nullopt);
    return file;
  }();
  return Must(manager.LoadPackage(path));
}

ReplicatedObj LoadModel(const InterpreterManager& manager, const std::string& resource) {
  return LoadArchive(manager).LoadPickle("model", resource);
}

Value CallFake(const InterpreterSession& session, const std::string& name,
               std::vector<Value> args) {
  const Obj function = Must(session.Global("fake", name));
  return Must(Must(function.Call(std::move(args))).ToValue());
}

int64_t FakeNumber(const InterpreterSession& session, const std::string& name) {
  return IntegerOf(CallFake(session, name));
}

int64_t FakeNumberElsewhere(const std::string& name) {
  const auto manager = MakeManager(1);
  return FakeNumber(Must(manager->AcquireSession()), name);
}

void AwaitHanging(int64_t count) {
  const auto manager = MakeManager(1);
  const InterpreterSession session = Must(manager->AcquireSession());
  Eventually([&] { return FakeNumber(session, "hanging") == count; });
}

void ReleaseHanging() {
  const auto manager = MakeManager(1);
  CallFake(Must(manager->AcquireSession()), "release");
}

int64_t IntegerOf(const Value& value) {
  const auto* const integer = value.get<int64_t>();
  if (integer == nullptr) {
    ADD_FAILURE() << "The value is no integer.";
    return -1;
  }
  return *integer;
}

void Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "It did not happen within 20 s.";
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace torchdeploy
