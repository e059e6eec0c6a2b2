// What an archive is written in, which is what can run it.
#pragma once

namespace torchdeploy {

enum class ArchiveFormat {
  kTorchPackage,  // torch.package, and so torchdeploy_pkg: Python, run in an interpreter each.
  kTorchScript,   // torch.jit.save(): run on one libtorch, without Python.
  kAotInductor,   // torch._inductor.aoti_compile_and_package(): the same.
};

}  // namespace torchdeploy
