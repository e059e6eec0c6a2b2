// Hello in C++: load an archive into two interpreters and call the model from two threads.
//
//   hello ARCHIVE        an archive whose model takes one FP32 tensor of shape (1, 4)
#include <array>
#include <cstdio>
#include <memory>
#include <thread>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/process_exit.h"

using torchdeploy::InterpreterManager;
using torchdeploy::Tensor;
using torchdeploy::Value;

namespace {

void CallModel(const torchdeploy::ReplicatedObj& model) {
  const auto data = std::make_shared<std::array<float, 4>>(std::array<float, 4>{1, 2, 3, 4});
  const Tensor x = Tensor::View(data->data(), {kDLFloat, 32, 1}, {1, 4}, data);
  const torchdeploy::Result<Value> y = model.Call({x});
  if (!y.ok()) {
    std::printf("%s\n%s", y.status().ToString().c_str(), y.status().traceback().c_str());
    return;
  }
  if (const auto* tensor = y->get<Tensor>()) {
    std::printf("first of %lld: %g\n", static_cast<long long>(tensor->num_elements()),
                static_cast<double>(*static_cast<const float*>(tensor->data())));
  }
}

int Run(const char* archive) {
  const auto manager = InterpreterManager::Create({.interpreters = 2});
  if (!manager.ok()) {
    std::fprintf(stderr, "%s\n", manager.status().ToString().c_str());
    return 1;
  }
  const auto package = (*manager)->LoadPackage(archive);
  if (!package.ok()) {
    std::fprintf(stderr, "%s\n", package.status().ToString().c_str());
    return 1;
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
