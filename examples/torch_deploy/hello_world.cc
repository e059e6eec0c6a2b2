// torch::deploy's hello world, in the form in which programs were written for it.
#include <iostream>
#include <memory>

#include <torch/script.h>
#include <torch/torch.h>

#include <multipy/runtime/deploy.h>
#include <multipy/runtime/path_environment.h>

int main() {
  multipy::runtime::InterpreterManager manager(2);

  for (auto i : c10::irange(2)) {
    auto I = manager.acquireOne();
    // from builtins import print
    auto print = I.global("builtins", "print");
    print({"Hello world!", static_cast<int64_t>(i)});
  }
}
