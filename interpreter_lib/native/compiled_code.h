// The library of a compiled model.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/csrc/inductor/aoti_runner/model_container_runner_cpu.h>

namespace torchdeploy::native {

// Thread-safe. Unloads the library at its end.
class CompiledCode : public torch::inductor::AOTIModelContainerRunnerCpu {
 public:
  // `most_calls` run at once; more wait for these. Throws what torch throws when it cannot load it.
  CompiledCode(const std::string& library, size_t most_calls);

  // How many tensors a call takes.
  [[nodiscard]] size_t inputs() const { return inputs_; }

 protected:
  // As torch's, which loses the tensors that the code has refused: they would be held for good.
  std::vector<at::Tensor> run_impl(std::vector<AtenTensorHandle>& input_handles,
                                   void* stream_handle) override;

 private:
  size_t inputs_ = 0;
};

}  // namespace torchdeploy::native
