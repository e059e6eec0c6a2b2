// TorchScript archives, as torch.jit.save() writes them.
#pragma once

#include <memory>

#include <caffe2/serialize/read_adapter_interface.h>

#include "interpreter_lib/native/program.h"

namespace torchdeploy::native {

// Weights go to the CPU, wherever they were saved. Throws what torch throws when it cannot load it.
std::unique_ptr<Program> LoadScriptProgram(
    std::shared_ptr<caffe2::serialize::ReadAdapterInterface> archive);

}  // namespace torchdeploy::native
