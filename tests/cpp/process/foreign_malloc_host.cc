// A host whose malloc is not libc's: loads an archive, calls it on several threads, unloads it
// and returns from main.
//
//   foreign_malloc_host ARCHIVE PYTHON
#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace {

// Also from a thread that ends before the result is dropped.
bool CallOften(const torchdeploy::ReplicatedObj& model) {
  for (int i = 0; i < 50; ++i) {
    const auto data = std::make_shared<std::array<float, 4>>(std::array<float, 4>{1, 2, 3, 4});
    const auto x = torchdeploy::Tensor::View(data->data(), {kDLFloat, 32, 1}, {1, 4}, data);
    const torchdeploy::Result<torchdeploy::Value> y = model.Call({x});
    const auto* tensor = y.ok() ? y->get<torchdeploy::Tensor>() : nullptr;
    if (tensor == nullptr || *static_cast<const float*>(tensor->data()) != 10) {
      std::fprintf(stderr, "%s\n", y.status().ToString().c_str());
      return false;
    }
  }
  return true;
}

bool LoadCallAndUnload(const torchdeploy::InterpreterManager& manager, const char* archive) {
  const auto package = manager.LoadPackage(archive);
  if (!package.ok()) {
    std::fprintf(stderr, "%s\n", package.status().ToString().c_str());
    return false;
  }
  const torchdeploy::ReplicatedObj model = package->LoadPickle();
  std::atomic<int> good{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] { good.fetch_add(CallOften(model) ? 1 : 0); });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  return good.load() == 4;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || dlsym(RTLD_DEFAULT, "mallctl") == nullptr) {
    std::fprintf(stderr, "usage: foreign_malloc_host ARCHIVE PYTHON, with jemalloc\n");
    return 2;
  }
  const auto manager =
      torchdeploy::InterpreterManager::Create({.interpreters = 2, .python = argv[2]});
  if (!manager.ok()) {
    std::fprintf(stderr, "%s\n", manager.status().ToString().c_str());
    return 1;
  }
  for (int i = 0; i < 2; ++i) {
    if (!LoadCallAndUnload(**manager, argv[1])) {
      return 1;
    }
  }
  std::puts("all is well");
  return 0;
}
