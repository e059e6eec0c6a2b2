// What is served of each model, and its change.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/file_stamp.h"
#include "server/health.h"
#include "server/model_loader.h"
#include "server/model_registry.h"
#include "server/model_repository.h"
#include "server/model_settings.h"
#include "server/request_queue.h"
#include "server/version_order.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// A config.yaml, or what takes its place.
struct SettingsText {
  std::string place;  // As messages name it.
  std::string text;
};

// A model's new versions are loaded beside the old ones and take their place at once; requests
// that the old ones have are answered by them. When one of them cannot be loaded, all stays as it
// was. One change at a time; States() at any time, on any thread.
class ServedModels {
 public:
  // What is to be said of one version, or of a name without any.
  struct State {
    std::string name;
    std::string version;  // Empty for a model of which none is served.
    bool is_served = false;
    std::string reason;  // Why it is not served, or its last change failed.
  };

  // `registry` and `health` outlive it. `queue`: of each model whose settings say nothing else.
  ServedModels(QueueSettings queue, ModelRegistry& registry, Health& health);

  // Serves the versions that the settings choose, and no others. A version whose archive and
  // settings are as they were when it was loaded is not loaded again. As ParseModelSettings(),
  // ChooseVersions() and ModelLoader::Load().
  Status Load(const ModelLoader& loader, const ModelFolder& folder, const SettingsText& settings);

  // kNotFound for a model that is not served.
  Status Unload(const std::string& name);

  // Why the last change failed. False when the same was said before.
  bool NoteFailure(const std::string& name, const Status& failure);

  // Of every model that was ever to be served, in order of name and version.
  [[nodiscard]] std::vector<State> States() const;

 private:
  struct LoadedVersion {
    FileStamp stamp;
    std::shared_ptr<const Model> model;
  };
  using Versions = std::map<std::string, LoadedVersion, VersionOrder>;
  struct Served {
    std::string settings;
    Versions versions;
    std::string reason;
  };

  Result<Versions> LoadVersions(const ModelLoader& loader, const ModelFolder& folder,
                                const SettingsText& settings, const ModelSettings& parsed) const;
  // The version as it is served, if it is what is asked for; else null.
  [[nodiscard]] std::shared_ptr<const Model> Unchanged(const std::string& name,
                                                       const std::string& version,
                                                       const FileStamp& stamp,
                                                       const std::string& settings) const;
  void Publish(Served served, const std::string& default_version);

  const QueueSettings queue_;
  ModelRegistry& registry_;
  Health& health_;

  mutable std::mutex mutex_;
  std::map<std::string, Served> served_;  // Written under mutex_.
};

}  // namespace torchdeploy::server
