// Which of a model's versions are served.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/model_repository.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// All that are there, unless `latest` or `listed` says otherwise.
struct VersionPolicy {
  std::optional<int64_t> latest = {};  // So many of the highest.
  std::vector<std::string> listed = {};
  std::string default_version = {};  // Of those that are served; empty: the highest.
};

// In ascending order. kNotFound, naming what there is, when a listed version is not there, or the
// default one is not among those that are served.
Result<std::vector<ArchiveLocation>> ChooseVersions(const VersionPolicy& policy,
                                                    std::vector<ArchiveLocation> versions);

}  // namespace torchdeploy::server
