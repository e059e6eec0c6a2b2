#include "server/model_repository.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

namespace fs = std::filesystem;

constexpr const char* kLayout = "; a model repository is laid out as NAME/VERSION/*.pt";
constexpr const char* kSettingsFile = "config.yaml";

Status Invalid(const std::string& message) {
  return {Code::kInvalidArgument, message + kLayout};
}

Result<std::vector<fs::path>> ListFolder(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with('.')) {
      entries.push_back(it->path());
    }
  }
  if (error) {
    return Status(Code::kPermissionDenied,
                  "cannot read folder " + folder.string() + ": " + error.message());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

// Also of what cannot be looked at, such as a link to itself: that is no folder.
bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool IsNumber(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<ArchiveLocation> FindVersion(const fs::path& folder, const std::string& name) {
  const std::string version = folder.filename().string();
  if (!IsFolder(folder) || !IsNumber(version)) {
    return Invalid(folder.string() + " is not a folder named by a version number");
  }
  const Result<std::vector<fs::path>> entries = ListFolder(folder);
  if (!entries.ok()) {
    return entries.status();
  }
  std::vector<fs::path> archives;
  for (const fs::path& entry : *entries) {
    if (entry.extension() == ".pt") {
      archives.push_back(entry);
    }
  }
  if (archives.size() != 1) {
    return Invalid(folder.string() + " holds " + std::to_string(archives.size()) +
                   " files *.pt, one is expected");
  }
  return ArchiveLocation{archives.front().string(), name, version, ""};
}

Status FindVersions(const fs::path& model, std::vector<ArchiveLocation>& archives) {
  if (!IsFolder(model)) {
    return Invalid(model.string() + " is not a folder");
  }
  Result<std::vector<fs::path>> versions = ListFolder(model);
  if (!versions.ok()) {
    return versions.status();
  }
  const fs::path settings = model / kSettingsFile;
  const bool has_settings = std::erase(*versions, settings) > 0;
  if (versions->empty()) {
    return Invalid(model.string() + " has no versions");
  }
  for (const fs::path& version : *versions) {
    Result<ArchiveLocation> found = FindVersion(version, model.filename().string());
    if (!found.ok()) {
      return found.status();
    }
    found->settings = has_settings ? settings.string() : "";
    archives.push_back(*std::move(found));
  }
  return {};
}

}  // namespace

Result<std::vector<ArchiveLocation>> FindArchives(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return Status(Code::kNotFound, path + ": no such file or folder");
  }
  if (!fs::is_directory(path, error)) {
    return std::vector<ArchiveLocation>{{path, "", "", ""}};
  }
  const Result<std::vector<fs::path>> models = ListFolder(path);
  if (!models.ok()) {
    return models.status();
  }
  std::vector<ArchiveLocation> archives;
  for (const fs::path& model : *models) {
    if (Status status = FindVersions(model, archives); !status.ok()) {
      return status;
    }
  }
  if (archives.empty()) {
    return Invalid("folder " + path + " is empty");
  }
  return archives;
}

}  // namespace torchdeploy::server
