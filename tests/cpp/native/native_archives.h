// The manager of this test program, and the archives that write_archives.py has written.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/float_tensors.h"  // IWYU pragma: export

namespace torchdeploy {

constexpr int kInterpreters = 2;

// One for all tests, which starts no Python.
InterpreterManager& NativeManager();

// What follows fails the test, or aborts where it cannot go on.

Package LoadNative(const std::string& name);
ReplicatedObj LoadNativeModel(const std::string& name);
// A method of the model, in any interpreter.
Result<Value> CallMethod(const Package& package, const std::string& method,
                         const std::vector<Value>& args = {}, const Kwargs& kwargs = {});

// How many of 200 calls from each of 8 threads `is_right` says no to; it is called by them, with a
// number of the thread's own.
int CountWrong(const std::function<bool(float)>& is_right);

}  // namespace torchdeploy
