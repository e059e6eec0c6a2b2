// The programs of this process, by the archive that they came from.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include <ATen/core/Tensor.h>

#include "interpreter_lib/native/program.h"

namespace torchdeploy::native {

// Thread-safe. Replicas of one archive share one program, and so hold its weights once.
class ProgramLibrary {
 public:
  static ProgramLibrary& OfProcess();

  ProgramLibrary(const ProgramLibrary&) = delete;
  ProgramLibrary& operator=(const ProgramLibrary&) = delete;

  // Of the archive that `bytes`, uint8 of shape [n], are a mapping of: the same for each who comes
  // with the same mapping, while anybody has it. `name` is what messages call it.
  // Throws EngineError(TD_FAILED_PRECONDITION) when torch cannot load it.
  std::shared_ptr<const Program> Open(const at::Tensor& bytes, const std::string& name);

 private:
  // A program, and the mapping, whose address nobody else can have for as long.
  struct Loaded;

  ProgramLibrary() = default;

  std::mutex mutex_;  // Held while a program is loaded: whoever wants the same one waits for it.
  std::unordered_map<const void*, std::weak_ptr<const Loaded>> loaded_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::native
