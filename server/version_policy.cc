#include "server/version_policy.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/model_repository.h"
#include "server/name_list.h"
#include "server/version_order.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

bool Has(const std::vector<ArchiveLocation>& versions, const std::string& version) {
  return std::ranges::find(versions, version, &ArchiveLocation::version) != versions.end();
}

Status CheckThere(const std::vector<ArchiveLocation>& versions, const std::string& version,
                  const std::string& place) {
  if (Has(versions, version)) {
    return {};
  }
  return {Code::kNotFound, place + " names version '" + version +
                               "'; there are: " + JoinNames(versions, &ArchiveLocation::version)};
}

void KeepLatest(int64_t count, std::vector<ArchiveLocation>& versions) {
  const auto there = static_cast<int64_t>(versions.size());
  versions.erase(versions.begin(), versions.begin() + std::max<int64_t>(there - count, 0));
}

void KeepListed(const std::vector<std::string>& listed, std::vector<ArchiveLocation>& versions) {
  std::erase_if(versions, [&](const ArchiveLocation& version) {
    return std::ranges::find(listed, version.version) == listed.end();
  });
}

}  // namespace

Result<std::vector<ArchiveLocation>> ChooseVersions(const VersionPolicy& policy,
                                                    std::vector<ArchiveLocation> versions) {
  std::ranges::sort(versions, VersionOrder(), &ArchiveLocation::version);
  for (const std::string& version : policy.listed) {
    if (Status status = CheckThere(versions, version, "versions"); !status.ok()) {
      return status;
    }
  }
  if (policy.latest.has_value()) {
    KeepLatest(*policy.latest, versions);
  } else if (!policy.listed.empty()) {
    KeepListed(policy.listed, versions);
  }
  const Status has_default = policy.default_version.empty()
                                 ? Status()
                                 : CheckThere(versions, policy.default_version, "default_version");
  return has_default.ok() ? Result(std::move(versions))
                          : Result<std::vector<ArchiveLocation>>(has_default);
}

}  // namespace torchdeploy::server
