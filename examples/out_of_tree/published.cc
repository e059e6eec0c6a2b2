// torch::deploy's published API from outside: a sum, by Python's torch.
#include <iostream>

#include <torch/deploy.h>

int main() {
  torch::deploy::InterpreterManager manager(1);
  auto I = manager.acquireOne();
  std::cout << I.global("torch", "sum")({at::ones({3, 4})}).toIValue().toTensor().item() << '\n';
}
