#include "interpreter_lib/native/program_library.h"

#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/native/archive_bytes.h"
#include "interpreter_lib/native/compiled_program.h"
#include "interpreter_lib/native/program.h"
#include "interpreter_lib/native/script_program.h"

namespace torchdeploy::native {

struct ProgramLibrary::Loaded {
  at::Tensor bytes;
  std::unique_ptr<const Program> program;
};

namespace {

std::unique_ptr<Program> Read(const std::shared_ptr<ArchiveBytes>& bytes) {
  caffe2::serialize::PyTorchStreamReader archive(bytes);
  // TorchScript has none.
  return archive.hasRecord("archive_format") ? LoadCompiledProgram(archive)
                                             : LoadScriptProgram(bytes);
}

std::unique_ptr<Program> Load(const at::Tensor& bytes, const std::string& name) {
  const auto refuse = [&name](const std::string& reason) {
    throw EngineError(TD_FAILED_PRECONDITION, "torch cannot load '" + name + "': " + reason);
  };
  std::unique_ptr<Program> program;
  try {
    program = Read(std::make_shared<ArchiveBytes>(bytes));
  } catch (const EngineError& error) {
    throw EngineError(error.code(), "'" + name + "' cannot be loaded: " + error.message());
  } catch (const c10::Error& error) {
    refuse(error.what_without_backtrace());
  } catch (const std::exception& error) {
    refuse(error.what());
  }
  // What it needs was copied out of them.
  ForgetPages(bytes);
  return program;
}

}  // namespace

ProgramLibrary& ProgramLibrary::OfProcess() {
  // Never destroyed: torch's own statics may go before it.
  static auto* const library = std::unique_ptr<ProgramLibrary>(new ProgramLibrary).release();
  return *library;
}

std::shared_ptr<const Program> ProgramLibrary::Open(const at::Tensor& bytes,
                                                    const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::erase_if(loaded_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const Loaded>& known = loaded_[bytes.const_data_ptr()];
  std::shared_ptr<const Loaded> loaded = known.lock();
  if (loaded == nullptr) {
    loaded = std::make_shared<const Loaded>(Loaded{bytes, Load(bytes, name)});
    known = loaded;
  }
  const Program* const program = loaded->program.get();
  return {std::move(loaded), program};
}

}  // namespace torchdeploy::native
