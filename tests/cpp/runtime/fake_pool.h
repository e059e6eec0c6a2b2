// Managers on the fake engine, and archives for them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/options.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/float_tensors.h"  // IWYU pragma: export

namespace torchdeploy {

// A folder that is removed with all it holds.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  [[nodiscard]] std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

Options FakeOptions(int interpreters);

// What follows fails the test, or aborts where it cannot go on.

std::unique_ptr<InterpreterManager> MakeManager(int interpreters);
// An archive without manifest.
Package LoadArchive(const InterpreterManager& manager);
ReplicatedObj LoadModel(const InterpreterManager& manager, const std::string& resource);
// What the function `name` of the fake engine's own module returns.
Value CallFake(const InterpreterSession& session, const std::string& name,
               std::vector<Value> args = {});
int64_t FakeNumber(const InterpreterSession& session, const std::string& name);
// In a manager of one interpreter that nothing else uses.
int64_t FakeNumberElsewhere(const std::string& name);
// Until `count` calls hang in this process; then, with Release, ends them.
void AwaitHanging(int64_t count);
void ReleaseHanging();

// Of a value that must hold T.
int64_t IntegerOf(const Value& value);

// Until `condition` holds; fails the test after 20 s.
void Eventually(const std::function<bool()>& condition);

}  // namespace torchdeploy
