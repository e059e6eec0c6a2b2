#include "server/model_registry.h"

#include <memory>
#include <mutex>
#include <ranges>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/name_list.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

void ModelRegistry::Replace(const std::vector<std::shared_ptr<const Model>>& versions,
                            const std::string& default_version) {
  NamedModel model;
  for (const auto& version : versions) {
    model.models.emplace(version->version, version);
  }
  model.default_version = default_version.empty() ? model.models.rbegin()->first : default_version;
  const std::unique_lock lock(mutex_);
  // The old ones are dropped when the lock is free again.
  std::swap(models_[versions.front()->name], model);
}

void ModelRegistry::Remove(const std::string& name) {
  NamedModel removed;
  const std::unique_lock lock(mutex_);
  if (const auto found = models_.find(name); found != models_.end()) {
    removed = std::move(found->second);
    models_.erase(found);
  }
}

Result<std::shared_ptr<const Model>> ModelRegistry::Find(const std::string& name,
                                                         const std::string& version) const {
  const std::shared_lock lock(mutex_);
  const auto model = models_.find(name);
  if (model == models_.end()) {
    return Status(Code::kNotFound, "model '" + name + "' is unknown; this server has: " +
                                       JoinNames(std::views::keys(models_)));
  }
  const auto& versions = model->second.models;
  const auto found = versions.find(version.empty() ? model->second.default_version : version);
  if (found == versions.end()) {
    return Status(Code::kNotFound, "model '" + name + "' has no version '" + version +
                                       "'; it has: " + JoinNames(std::views::keys(versions)));
  }
  return found->second;
}

std::vector<std::string> ModelRegistry::Versions(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto found = models_.find(name);
  if (found == models_.end()) {
    return {};
  }
  const auto versions = std::views::keys(found->second.models);
  return {versions.begin(), versions.end()};
}

std::vector<std::string> ModelRegistry::Names() const {
  const std::shared_lock lock(mutex_);
  const auto names = std::views::keys(models_);
  return {names.begin(), names.end()};
}

std::vector<std::shared_ptr<const Model>> ModelRegistry::All() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<const Model>> all;
  for (const auto& [name, model] : models_) {
    const auto versions = std::views::values(model.models);
    all.insert(all.end(), versions.begin(), versions.end());
  }
  return all;
}

}  // namespace torchdeploy::server
