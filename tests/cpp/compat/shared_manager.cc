#include "tests/cpp/compat/shared_manager.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>
#include <torch/deploy.h>

namespace torch::deploy {

namespace {

std::unique_ptr<InterpreterManager>& Holder() {
  static std::unique_ptr<InterpreterManager> manager;
  return manager;
}

class NoManagerAtTheEnd : public ::testing::Environment {
 public:
  void TearDown() override { DestroyManager(); }
};

const auto* const kNoManagerAtTheEnd =
    ::testing::AddGlobalTestEnvironment(new NoManagerAtTheEnd);  // Owned by GoogleTest.

}  // namespace

InterpreterManager& SharedManager() {
  if (Holder() == nullptr) {
    Holder() = std::make_unique<InterpreterManager>(2);
  }
  return *Holder();
}

void DestroyManager() {
  Holder().reset();
}

Package LoadTestPackage(const std::string& word) {
  return SharedManager().loadPackage(ARCHIVE_FOLDER + word + ".pt");
}

ReplicatedObj LoadScaler() {
  return LoadTestPackage().loadPickle("model", "model.pkl");
}

std::string Repr(const InterpreterSession& session, const Obj& obj) {
  return session.global("builtins", "repr")(obj).toIValue().toStringRef();
}

Obj Eval(const InterpreterSession& session, const std::string& expression) {
  const at::IValue no_globals = c10::impl::GenericDict(c10::StringType::get(), c10::AnyType::get());
  return session.global("builtins", "eval")({expression, no_globals});
}

int64_t InterpreterOf(const InterpreterSession& session) {
  return session.global("torch", "version").attr("interp").toIValue().toInt();
}

std::string ErrorOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace torch::deploy
