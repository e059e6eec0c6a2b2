// Packages of AOTInductor, as torch._inductor.aoti_compile_and_package() writes them.
#pragma once

#include <memory>

#include <caffe2/serialize/inline_container.h>

#include "interpreter_lib/native/program.h"

namespace torchdeploy::native {

// Loads its model of the name "model". Throws EngineError(TD_FAILED_PRECONDITION) when there is
// none, or it was compiled for what is not here, and what torch throws when it cannot load it.
std::unique_ptr<Program> LoadCompiledProgram(caffe2::serialize::PyTorchStreamReader& archive);

}  // namespace torchdeploy::native
