#include "tests/cpp/native/native_archives.h"

#include <atomic>
#include <functional>
#include <string>
#include <thread>
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

int CountWrong(const std::function<bool(float)>& is_right) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < 8; ++number) {
    threads.emplace_back([&, number] {
      for (int i = 0; i < 200; ++i) {
        wrong += is_right(static_cast<float>(number)) ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return wrong.load();
}

}  // namespace torchdeploy
