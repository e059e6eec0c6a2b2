// torch::deploy's quickstart, in the form in which programs were written for it.
//
//   quickstart ARCHIVE   an archive whose model takes one FP32 tensor of shape (1, 3, 224, 224)
//
// PATH_TO_EXTERN_PYTHON_PACKAGES is a folder of Python packages that the model needs.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <vector>

#include <torch/deploy.h>
#include <torch/script.h>

int main(int argc, const char* argv[]) {
  if (argc != 2) {
    std::cerr << "usage: quickstart ARCHIVE\n";
    return -1;
  }

  std::shared_ptr<torch::deploy::Environment> env =
      std::make_shared<torch::deploy::PathEnvironment>(
          std::getenv("PATH_TO_EXTERN_PYTHON_PACKAGES"));
  torch::deploy::InterpreterManager manager(4, env);
  torch::deploy::ReplicatedObj model;
  try {
    torch::deploy::Package package = manager.loadPackage(argv[1]);
    model = package.loadPickle("model", "model.pkl");
  } catch (const std::runtime_error& e) {
    std::cerr << "cannot load the model: " << e.what() << '\n';
    return -1;
  }

  std::vector<torch::jit::IValue> inputs;
  inputs.push_back(torch::ones({1, 3, 224, 224}));

  at::Tensor output = model(inputs).toTensor();
  std::cout << output.slice(/*dim=*/1, /*start=*/0, /*end=*/5) << '\n';
}
