#include "server/served_models.h"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/file_stamp.h"
#include "server/health.h"
#include "server/model_loader.h"
#include "server/model_registry.h"
#include "server/model_repository.h"
#include "server/model_settings.h"
#include "server/request_queue.h"
#include "server/version_policy.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

ServedModels::ServedModels(QueueSettings queue, ModelRegistry& registry, Health& health)
    : queue_(std::move(queue)), registry_(registry), health_(health) {}

Status ServedModels::Load(const ModelLoader& loader, const ModelFolder& folder,
                          const SettingsText& settings) {
  ModelSettings parsed{.queue = queue_};
  if (Status status = ParseModelSettings(settings.text, settings.place, &parsed); !status.ok()) {
    return status;
  }
  Result<Versions> versions = LoadVersions(loader, folder, settings, parsed);
  if (!versions.ok()) {
    return versions.status();
  }
  Publish({settings.text, *std::move(versions), ""}, parsed.versions.default_version);
  return {};
}

Result<ServedModels::Versions> ServedModels::LoadVersions(const ModelLoader& loader,
                                                          const ModelFolder& folder,
                                                          const SettingsText& settings,
                                                          const ModelSettings& parsed) const {
  const Result<std::vector<ArchiveLocation>> chosen =
      ChooseVersions(parsed.versions, folder.versions);
  if (!chosen.ok()) {
    return Status(chosen.status().code(), settings.place + ": " + chosen.status().message());
  }
  Versions versions;
  for (const ArchiveLocation& archive : *chosen) {
    const FileStamp stamp = StampOf(archive.path);
    const std::shared_ptr<const Model> same =
        Unchanged(folder.name, archive.version, stamp, settings.text);
    const Result<std::shared_ptr<const Model>> model =
        same != nullptr ? same : loader.Load(folder.name, archive, parsed);
    if (!model.ok()) {
      return model.status();
    }
    versions[(*model)->version] = {stamp, *model};
  }
  return versions;
}

std::shared_ptr<const Model> ServedModels::Unchanged(const std::string& name,
                                                     const std::string& version,
                                                     const FileStamp& stamp,
                                                     const std::string& settings) const {
  const auto served = served_.find(name);
  if (served == served_.end() || served->second.settings != settings) {
    return nullptr;
  }
  const auto found = served->second.versions.find(version);
  const bool is_same = found != served->second.versions.end() && found->second.stamp == stamp;
  return is_same ? found->second.model : nullptr;
}

void ServedModels::Publish(Served served, const std::string& default_version) {
  std::vector<std::shared_ptr<const Model>> models;
  for (const auto& [version, loaded] : served.versions) {
    models.push_back(loaded.model);
  }
  const std::string& name = models.front()->name;
  registry_.Replace(models, default_version);
  health_.Set(name, true);
  const std::lock_guard lock(mutex_);
  std::swap(served_[name], served);
}

Status ServedModels::Unload(const std::string& name) {
  Versions unloaded;
  {
    const std::lock_guard lock(mutex_);
    const auto found = served_.find(name);
    if (found == served_.end() || found->second.versions.empty()) {
      return {Code::kNotFound, "model '" + name + "' is not loaded"};
    }
    unloaded = std::exchange(found->second.versions, {});
    found->second.reason = "unloaded";
  }
  registry_.Remove(name);
  health_.Set(name, false);
  return {};
}

bool ServedModels::NoteFailure(const std::string& name, const Status& failure) {
  const std::lock_guard lock(mutex_);
  const std::string before = std::exchange(served_[name].reason, failure.message());
  return before != failure.message();
}

std::vector<ServedModels::State> ServedModels::States() const {
  const std::lock_guard lock(mutex_);
  std::vector<State> states;
  for (const auto& [name, served] : served_) {
    for (const auto& [version, loaded] : served.versions) {
      states.push_back({name, version, true, served.reason});
    }
    if (served.versions.empty()) {
      states.push_back({name, "", false, served.reason});
    }
  }
  return states;
}

}  // namespace torchdeploy::server
