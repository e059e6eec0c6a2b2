#include "runtime/src/isolation/private_engine_loader.h"

#include <dlfcn.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine_handshake.h"
#include "runtime/src/engine_loader.h"
#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/library_cache.h"
#include "runtime/src/isolation/library_search.h"
#include "runtime/src/isolation/private_libraries.h"
#include "runtime/src/isolation/python_installation.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

class PrivateEngineLoader : public EngineLoader {
 public:
  PrivateEngineLoader(PythonInstallation python, std::string identity,
                      std::shared_ptr<const LibraryCache> cache,
                      std::shared_ptr<const LibrarySearch> search)
      : python_(std::move(python)),
        identity_(std::move(identity)),
        cache_(std::move(cache)),
        search_(std::move(search)) {}

  Result<td_engine_api> Load(uint32_t number) override {
    auto libraries = std::make_unique<PrivateLibraries>(number, cache_, search_);
    PrivateLibraries& opened = *libraries;
    {
      // Kept even when the rest fails: what it has loaded by then cannot be unloaded.
      const std::lock_guard lock(mutex_);
      interpreters_.push_back(std::move(libraries));
    }
    if (Status status = opened.Start(python_.libpython, python_.shim); !status.ok()) {
      return status;
    }
    const Result<void*> engine = opened.Open(python_.engine.c_str(), RTLD_NOW, "");
    if (!engine.ok()) {
      return engine.status();
    }
    return ReadEngineApi(*engine, python_.engine);
  }

  [[nodiscard]] const std::string& python() const override { return python_.executable; }
  [[nodiscard]] const std::string& identity() const override { return identity_; }

 private:
  const PythonInstallation python_;
  const std::string identity_;
  const std::shared_ptr<const LibraryCache> cache_;
  const std::shared_ptr<const LibrarySearch> search_;

  std::mutex mutex_;
  std::vector<std::unique_ptr<PrivateLibraries>> interpreters_;  // Guarded by mutex_.
};

// The files whose change makes all copies of an environment stale.
Result<std::vector<FileIdentity>> StateOf(const PythonInstallation& python) {
  const std::string torch_libraries = python.torch_folder + "/lib/";
  std::vector<FileIdentity> state;
  for (const std::string& path :
       {python.libpython, python.shim, python.engine, torch_libraries + "libc10.so",
        torch_libraries + "libtorch_cpu.so", torch_libraries + "libtorch_python.so"}) {
    Result<FileIdentity> identity = IdentifyFile(path);
    if (!identity.ok()) {
      return identity.status();
    }
    state.push_back(*std::move(identity));
  }
  return state;
}

}  // namespace

Result<std::unique_ptr<EngineLoader>> MakePrivateEngineLoader(const Options& options) {
  Result<PythonInstallation> python = FindPython(options.python);
  if (!python.ok()) {
    return python.status();
  }
  const Result<std::vector<FileIdentity>> state = StateOf(*python);
  if (!state.ok()) {
    return state.status();
  }
  const Result<std::string> root = CacheRoot(options.cache_folder);
  if (!root.ok()) {
    return root.status();
  }
  Result<std::unique_ptr<LibraryCache>> cache =
      LibraryCache::Open(*root, python->executable, *state);
  if (!cache.ok()) {
    return cache.status();
  }
  const auto search = std::make_shared<const LibrarySearch>(
      std::vector<std::string>{python->torch_folder + "/lib",
                               std::filesystem::path(python->libpython).parent_path().string()});
  std::string identity = python->executable + " in " + (*cache)->folder();
  return std::unique_ptr<EngineLoader>(std::make_unique<PrivateEngineLoader>(
      *std::move(python), std::move(identity), *std::move(cache), search));
}

}  // namespace torchdeploy
