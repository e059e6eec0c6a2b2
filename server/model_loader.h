// From an archive to a model that is ready to be served.
#pragma once

#include <memory>
#include <string>

#include "server/interpreter_pools.h"
#include "server/model_registry.h"
#include "server/model_repository.h"
#include "server/model_settings.h"
#include "server/timer.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// Thread-safe.
class ModelLoader {
 public:
  // `pools` outlive the loader and the models, and close before the models go.
  ModelLoader(InterpreterPools& pools, std::shared_ptr<Timer> timer);

  // Loads a replica into each interpreter that is shared, as each becomes free, or into those that
  // the settings reserve, and calls it with the archive's example, if it has one. Empty `name`: as
  // ModelFolder says. The first failure, naming the archive; kInvalidArgument for settings that the
  // archive's manifest does not allow.
  [[nodiscard]] Result<std::shared_ptr<const Model>> Load(const std::string& name,
                                                          const ArchiveLocation& archive,
                                                          const ModelSettings& settings) const;

 private:
  [[nodiscard]] Result<Model> LoadUnprefixed(const std::string& name,
                                             const ArchiveLocation& archive,
                                             const ModelSettings& settings) const;
  // Null when the settings ask for none.
  [[nodiscard]] Result<std::shared_ptr<const InterpreterManager>> Reserve(
      const ModelSettings& settings) const;

  InterpreterPools& pools_;
  const std::shared_ptr<Timer> timer_;
};

}  // namespace torchdeploy::server
