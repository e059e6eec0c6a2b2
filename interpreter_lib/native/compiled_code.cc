#include "interpreter_lib/native/compiled_code.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <ATen/DynamicLibrary.h>
#include <ATen/core/Tensor.h>
#include <torch/csrc/inductor/aoti_runner/model_container_runner_cpu.h>
#include <torch/csrc/inductor/aoti_runtime/interface.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"

namespace torchdeploy::native {

namespace {

// What the code has taken is null.
void DeleteUntaken(AtenTensorHandle handle) {
  if (handle != nullptr) {
    aoti_torch_delete_tensor_object(handle);
  }
}

}  // namespace

CompiledCode::CompiledCode(const std::string& library, size_t most_calls)
    : AOTIModelContainerRunnerCpu(library, most_calls, /*run_single_threaded=*/false) {
  const auto count = reinterpret_cast<decltype(&AOTInductorModelContainerGetNumInputs)>(
      model_so_->sym("AOTInductorModelContainerGetNumInputs"));
  if (count(container_handle_, &inputs_) != AOTI_RUNTIME_SUCCESS) {
    throw EngineError(TD_FAILED_PRECONDITION, "it does not say how many inputs it takes");
  }
}

std::vector<at::Tensor> CompiledCode::run_impl(std::vector<AtenTensorHandle>& input_handles,
                                               void* stream_handle) {
  try {
    return AOTIModelContainerRunnerCpu::run_impl(input_handles, stream_handle);
  } catch (...) {
    std::ranges::for_each(input_handles, DeleteUntaken);
    throw;
  }
}

}  // namespace torchdeploy::native
