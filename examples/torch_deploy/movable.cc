// torch::deploy's example of an object that moves, in the form in which programs were written for
// it: made in one interpreter, used in another.
#include <iostream>
#include <memory>
#include <vector>

#include <torch/script.h>
#include <torch/torch.h>

#include <multipy/runtime/deploy.h>
#include <multipy/runtime/path_environment.h>

int main() {
  torch::deploy::InterpreterManager m(4);

  auto I = m.acquireOne();
  I.global("torch", "manual_seed")({0});
  auto model_obj = I.global("torch.nn", "Conv2d")({6, 2, 2, 1});
  auto rObj = m.createMovable(model_obj, &I);
  auto I2 = m.acquireOne();
  auto model_obj2 = I2.fromMovable(rObj);
  rObj.unload();

  std::vector<torch::jit::IValue> inputs;
  inputs.push_back(torch::ones({1, 6, 6, 6}));

  at::Tensor output = model_obj2(inputs).toIValue().toTensor();
  std::cout << output.slice(/*dim=*/1, /*start=*/0, /*end=*/5) << '\n';
}
