#include "tests/cpp/native/native_archives.h"

#include <string>
#include <vector>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/must.h"

namespace torchdeploy {

InterpreterManager& NativeManager() {
  // Never destroyed, for that waits for the calls that the tests of the end leave running.
  static auto* const manager =
      Must(InterpreterManager::Create(
               {.interpreters = kInterpreters, .python = TD_PYTHON, .on_demand = true}))
          .release();
  return *manager;
}

Package LoadNative(const std::string& name) {
  return Must(NativeManager().LoadPackage(TD_ARCHIVES + name));
}

ReplicatedObj LoadNativeModel(const std::string& name) {
  return LoadNative(name).LoadPickle();
}

Result<Value> CallMethod(const Package& package, const std::string& method,
                         const std::vector<Value>& args, const Kwargs& kwargs) {
  const InterpreterSession session = Must(package.LoadPickle().AcquireSession());
  const Result<Obj> called = Must(session.self().Attribute(method)).Call(args, kwargs);
  return called.ok() ? called->ToValue() : called.status();
}

}  // namespace torchdeploy
