#include "tests/cpp/native/native_archives.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().ToString();
    std::abort();
  }
  return *std::move(result);
}

}  // namespace

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

Tensor MakeTensor(const std::vector<float>& elements, const std::vector<int64_t>& shape) {
  auto owner = std::make_shared<std::vector<float>>(elements);
  float* const data = owner->data();
  return Tensor::View(data, {kDLFloat, 32, 1}, shape, std::move(owner));
}

std::vector<float> ElementsOf(const Value& value) {
  const auto* const tensor = value.get<Tensor>();
  if (tensor == nullptr) {
    ADD_FAILURE() << "The value is no tensor.";
    return {};
  }
  std::vector<float> elements(static_cast<size_t>(tensor->num_elements()));
  tensor->CopyTo(std::as_writable_bytes(std::span(elements)));
  return elements;
}

}  // namespace torchdeploy
