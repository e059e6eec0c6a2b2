// Hello in C++: load an archive into two interpreters and call the model from two threads.
//
//   hello ARCHIVE        an archive whose model takes one FP32 tensor of shape (1, 4)
#include <array>
#include <cstdio>
#include <memory>
#include <thread>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/package.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace {

int Fail(const torchdeploy::Status& status) {
  std::fprintf(stderr, "%s\n%s", status.ToString().c_str(), status.traceback().c_str());
  return 1;
}

void CallModel(const torchdeploy::ReplicatedObj& model) {
  const auto data = std::make_shared<std::array<float, 4>>(std::array<float, 4>{1, 2, 3, 4});
  const auto x = torchdeploy::Tensor::View(data->data(), {kDLFloat, 32, 1}, {1, 4}, data);
  const torchdeploy::Result<torchdeploy::Value> y = model.Call({x});
  if (!y.ok()) {
    Fail(y.status());
  } else if (const auto* tensor = y->get<torchdeploy::Tensor>()) {
    std::printf("first of %lld: %g\n", static_cast<long long>(tensor->num_elements()),
                static_cast<double>(*static_cast<const float*>(tensor->data())));
  }
}

int Run(const char* archive) {
  const auto manager = torchdeploy::InterpreterManager::Create({.interpreters = 2});
  if (!manager.ok()) {
    return Fail(manager.status());
  }
  const auto package = (*manager)->LoadPackage(archive);
  if (!package.ok()) {
    return Fail(package.status());
  }
  const torchdeploy::ReplicatedObj model = package->LoadPickle();
  std::thread other([&] { CallModel(model); });
  CallModel(model);
  other.join();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: hello ARCHIVE\n");
    return 2;
  }
  torchdeploy::ExitProcess(Run(argv[1]));
}
