#include "runtime/src/isolation/private_engine_loader.h"

#include <dlfcn.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
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

// Loads engines of one Python, each into libraries of its own. Thread-safe.
class PrivateEngines {
 public:
  PrivateEngines(PythonInstallation python, std::shared_ptr<const LibraryCache> cache,
                 std::shared_ptr<const LibrarySearch> search, Closing closing)
      : python_(std::move(python)),
        cache_(std::move(cache)),
        search_(std::move(search)),
        closing_(closing) {}

  [[nodiscard]] const PythonInstallation& python() const { return python_; }
  [[nodiscard]] const std::string& cache_folder() const { return cache_->folder(); }

  // The engine at `path` in the libraries of `number`, which nobody else has in this process.
  Result<td_engine_api> Load(uint32_t number, const std::string& path) {
    auto libraries = std::make_unique<PrivateLibraries>(number, cache_, search_, closing_);
    PrivateLibraries& opened = *libraries;
    {
      // Kept even when the rest fails: what it has loaded by then cannot be unloaded.
      const std::lock_guard lock(mutex_);
      loaded_.push_back(std::move(libraries));
    }
    if (Status status = opened.Start(python_.libpython, python_.shim); !status.ok()) {
      return status;
    }
    const Result<void*> engine = opened.Open(path.c_str(), RTLD_NOW, "");
    if (!engine.ok()) {
      return engine.status();
    }
    return ReadEngineApi(*engine, path);
  }

 private:
  const PythonInstallation python_;
  const std::shared_ptr<const LibraryCache> cache_;
  const std::shared_ptr<const LibrarySearch> search_;
  const Closing closing_;

  std::mutex mutex_;
  std::vector<std::unique_ptr<PrivateLibraries>> loaded_;  // Guarded by mutex_.
};

class PrivateEngineLoader : public EngineLoader {
 public:
  explicit PrivateEngineLoader(std::unique_ptr<PrivateEngines> engines)
      : engines_(std::move(engines)),
        identity_(engines_->python().executable + " in " + engines_->cache_folder()) {}

  Result<td_engine_api> Load(uint32_t number) override {
    return engines_->Load(number, engines_->python().engine);
  }
  [[nodiscard]] const std::string& python() const override { return engines_->python().executable; }
  [[nodiscard]] const std::string& identity() const override { return identity_; }

 private:
  const std::unique_ptr<PrivateEngines> engines_;
  const std::string identity_;
};

class NativeEngineLoader : public EngineLoader {
 public:
  explicit NativeEngineLoader(std::unique_ptr<PrivateEngines> engines)
      : engines_(std::move(engines)),
        identity_("torch of " + engines_->python().executable + " in " + engines_->cache_folder()) {
  }

  Result<td_engine_api> Load(uint32_t /*number*/) override {
    const std::lock_guard lock(mutex_);
    if (!api_.has_value()) {
      const Result<td_engine_api> loaded =
          engines_->Load(kNumber, engines_->python().native_engine);
      if (!loaded.ok()) {
        return loaded;
      }
      api_ = *loaded;
    }
    return *api_;
  }
  [[nodiscard]] const std::string& python() const override { return engines_->python().executable; }
  [[nodiscard]] const std::string& identity() const override { return identity_; }

 private:
  // Interpreters count from 1.
  static constexpr uint32_t kNumber = 0;

  const std::unique_ptr<PrivateEngines> engines_;
  const std::string identity_;
  std::mutex mutex_;
  std::optional<td_engine_api> api_;  // Guarded by mutex_.
};

// The files whose change makes all copies of an environment stale.
Result<std::vector<FileIdentity>> StateOf(const PythonInstallation& python) {
  const std::string torch_libraries = python.torch_folder + "/lib/";
  std::vector<FileIdentity> state;
  for (const std::string& path :
       {python.libpython, python.shim, python.engine, python.native_engine,
        torch_libraries + "libc10.so", torch_libraries + "libtorch_cpu.so",
        torch_libraries + "libtorch_python.so"}) {
    Result<FileIdentity> identity = IdentifyFile(path);
    if (!identity.ok()) {
      return identity.status();
    }
    state.push_back(*std::move(identity));
  }
  return state;
}

Result<std::unique_ptr<PrivateEngines>> FindEngines(const Options& options, Closing closing) {
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
  return std::make_unique<PrivateEngines>(*std::move(python), *std::move(cache), search, closing);
}

}  // namespace

Result<std::unique_ptr<EngineLoader>> MakePrivateEngineLoader(const Options& options) {
  Result<std::unique_ptr<PrivateEngines>> engines = FindEngines(options, Closing::kNever);
  if (!engines.ok()) {
    return engines.status();
  }
  return std::unique_ptr<EngineLoader>(std::make_unique<PrivateEngineLoader>(*std::move(engines)));
}

Result<std::unique_ptr<EngineLoader>> MakePrivateNativeEngineLoader(const Options& options) {
  Result<std::unique_ptr<PrivateEngines>> engines =
      // Compiled models come and go.
      FindEngines(options, Closing::kOnRequest);
  if (!engines.ok()) {
    return engines.status();
  }
  return std::unique_ptr<EngineLoader>(std::make_unique<NativeEngineLoader>(*std::move(engines)));
}

}  // namespace torchdeploy
