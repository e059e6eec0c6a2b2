// The models that a server has, by name and version.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "server/inference_statistics.h"
#include "server/request_queue.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// One version of one model, with a replica in every interpreter. Immutable.
struct Model {
  std::string name;
  std::string version;
  std::optional<Manifest> manifest;
  std::shared_ptr<RequestQueue> queue;  // Of its entry.
  std::shared_ptr<InferenceStatistics> statistics = std::make_shared<InferenceStatistics>();
};

// Thread-safe. A model stays usable for whoever got it.
class ModelRegistry {
 public:
  // kAlreadyExists when this version of this name is there.
  Status Add(Model model);

  // Empty `version`: the highest number; if no version is a number, the last by name.
  // kNotFound, naming what there is.
  [[nodiscard]] Result<std::shared_ptr<const Model>> Find(const std::string& name,
                                                          const std::string& version) const;

  // In ascending order; empty for an unknown name.
  [[nodiscard]] std::vector<std::string> Versions(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> Names() const;
  // Every version of every model, by name and in ascending order.
  [[nodiscard]] std::vector<std::shared_ptr<const Model>> All() const;

 private:
  // "10" after "9": shorter numbers are smaller; what is no number comes before all numbers.
  struct VersionOrder {
    bool operator()(const std::string& a, const std::string& b) const;
  };
  using Models = std::map<std::string, std::shared_ptr<const Model>, VersionOrder>;

  mutable std::shared_mutex mutex_;
  std::map<std::string, Models> models_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
