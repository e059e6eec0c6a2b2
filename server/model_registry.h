// The models that a server has, by name and version.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "server/inference_statistics.h"
#include "server/request_queue.h"
#include "server/trace_input.h"
#include "server/version_order.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// One version of one model, with a replica in every interpreter of its pool. Immutable.
struct Model {
  std::string name;
  std::string version;
  std::optional<Manifest> manifest;
  // What the manifest says of each other method, as if that were the model.
  std::map<std::string, std::optional<Manifest>> methods;
  TraceInput trace_input = {};
  std::shared_ptr<const InterpreterManager> reserved;  // Null: it runs in those that are shared.
  std::shared_ptr<RequestQueue> queue;                 // Of its entry.
  std::shared_ptr<InferenceStatistics> statistics = std::make_shared<InferenceStatistics>();
};

// Thread-safe. A model stays usable for whoever got it, also when it is replaced or removed; its
// replicas go when the last of these lets it go.
class ModelRegistry {
 public:
  // All versions of a name take the place of those that it had, at once. `default_version`: which
  // is meant by who names none; empty: the highest number, or if no version is a number, the last
  // by name. REQUIRES: versions of one name, at least one; `default_version` is one of them.
  void Replace(const std::vector<std::shared_ptr<const Model>>& versions,
               const std::string& default_version);

  // Nothing for an unknown name.
  void Remove(const std::string& name);

  // Empty `version`: the default one. kNotFound, naming what there is.
  [[nodiscard]] Result<std::shared_ptr<const Model>> Find(const std::string& name,
                                                          const std::string& version) const;

  // In ascending order; empty for an unknown name.
  [[nodiscard]] std::vector<std::string> Versions(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> Names() const;
  // Every version of every model, by name and in ascending order.
  [[nodiscard]] std::vector<std::shared_ptr<const Model>> All() const;

 private:
  struct NamedModel {
    std::map<std::string, std::shared_ptr<const Model>, VersionOrder> models;
    std::string default_version;
  };

  mutable std::shared_mutex mutex_;
  std::map<std::string, NamedModel> models_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
