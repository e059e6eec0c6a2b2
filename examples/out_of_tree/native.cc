// The C++ API from outside: the square root of 2, by Python.
#include <cstdio>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace {

torchdeploy::Result<torchdeploy::Value> SquareRootOfTwo() {
  const auto manager = torchdeploy::InterpreterManager::Create({.interpreters = 1});
  if (!manager.ok()) {
    return manager.status();
  }
  const auto session = (*manager)->AcquireSession();
  if (!session.ok()) {
    return session.status();
  }
  const auto function = session->Global("math", "sqrt");
  if (!function.ok()) {
    return function.status();
  }
  const auto root = function->Call({2.0});
  return root.ok() ? root->ToValue() : root.status();
}

}  // namespace

int main() {
  const torchdeploy::Result<torchdeploy::Value> root = SquareRootOfTwo();
  if (!root.ok()) {
    std::fprintf(stderr, "%s\n", root.status().ToString().c_str());
    torchdeploy::ExitProcess(1);
  }
  std::printf("%.4f\n", *root->get<double>());
  torchdeploy::ExitProcess(0);
}
