#include "runtime/src/shared_engine_loader.h"

#include <dlfcn.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine_handshake.h"
#include "runtime/src/engine_loader.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

class SharedEngineLoader : public EngineLoader {
 public:
  SharedEngineLoader(const td_engine_api& api, std::string identity)
      : api_(api), identity_(std::move(identity)) {}

  Result<td_engine_api> Load(uint32_t /*number*/) override { return api_; }
  [[nodiscard]] const std::string& python() const override { return python_; }
  [[nodiscard]] const std::string& identity() const override { return identity_; }

 private:
  const td_engine_api api_;
  const std::string identity_;
  const std::string python_;
};

}  // namespace

Result<std::unique_ptr<EngineLoader>> MakeSharedEngineLoader(const std::string& path) {
  std::error_code error;
  const std::filesystem::path library = std::filesystem::canonical(path, error);
  if (error) {
    return Status(Code::kNotFound,
                  "The engine library '" + path + "' cannot be found: " + error.message() + ".");
  }
  // Never closed: what was loaded stays for the life of the process.
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = dlerror();  // NOLINT(concurrency-mt-unsafe): glibc's is per thread.
    return Status(Code::kFailedPrecondition,
                  "The engine library '" + path +
                      "' cannot be loaded: " + (reason == nullptr ? "" : reason) + ".");
  }
  Result<td_engine_api> api = ReadEngineApi(handle, path);
  if (!api.ok()) {
    return api.status();
  }
  return std::unique_ptr<EngineLoader>(
      std::make_unique<SharedEngineLoader>(*api, "library " + library.string()));
}

}  // namespace torchdeploy
