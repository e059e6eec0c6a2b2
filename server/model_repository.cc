#include "server/model_repository.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "server/name_list.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

namespace fs = std::filesystem;

constexpr const char* kLayout = "; a model repository is laid out as NAME/VERSION/*.pt or *.pt2";
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

Result<ArchiveLocation> FindVersion(const fs::path& folder) {
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
    if (entry.extension() == ".pt" || entry.extension() == ".pt2") {
      archives.push_back(entry);
    }
  }
  if (archives.size() != 1) {
    return Invalid(folder.string() + " holds " + std::to_string(archives.size()) +
                   " files *.pt or *.pt2, one is expected");
  }
  return ArchiveLocation{archives.front().string(), version};
}

Result<ModelFolder> FindVersions(const fs::path& folder) {
  if (!IsFolder(folder)) {
    return Invalid(folder.string() + " is not a folder");
  }
  Result<std::vector<fs::path>> versions = ListFolder(folder);
  if (!versions.ok()) {
    return versions.status();
  }
  const fs::path settings = folder / kSettingsFile;
  const bool has_settings = std::erase(*versions, settings) > 0;
  if (versions->empty()) {
    return Invalid(folder.string() + " has no versions");
  }
  ModelFolder model{folder.filename().string(), has_settings ? settings.string() : "", {}};
  for (const fs::path& version : *versions) {
    Result<ArchiveLocation> found = FindVersion(version);
    if (!found.ok()) {
      return found.status();
    }
    model.versions.push_back(*std::move(found));
  }
  return model;
}

}  // namespace

Result<std::vector<std::string>> FindNames(const std::string& repository) {
  const Result<std::vector<fs::path>> entries = ListFolder(repository);
  if (!entries.ok()) {
    return entries.status();
  }
  std::vector<std::string> names;
  for (const fs::path& entry : *entries) {
    names.push_back(entry.filename().string());
  }
  return names;
}

Result<ModelFolder> FindModel(const std::string& repository, const std::string& name) {
  const Result<std::vector<std::string>> names = FindNames(repository);
  if (!names.ok()) {
    return names.status();
  }
  if (std::ranges::find(*names, name) == names->end()) {
    return Status(Code::kNotFound,
                  "model '" + name + "' is not in the repository; it has: " + JoinNames(*names));
  }
  return FindVersions(fs::path(repository) / name);
}

Result<std::vector<ModelFolder>> FindModels(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return Status(Code::kNotFound, path + ": no such file or folder");
  }
  if (!fs::is_directory(path, error)) {
    return std::vector<ModelFolder>{{"", "", {{path, ""}}}};
  }
  const Result<std::vector<std::string>> names = FindNames(path);
  if (!names.ok()) {
    return names.status();
  }
  std::vector<ModelFolder> models;
  for (const std::string& name : *names) {
    Result<ModelFolder> model = FindVersions(fs::path(path) / name);
    if (!model.ok()) {
      return model.status();
    }
    models.push_back(*std::move(model));
  }
  return models;
}

}  // namespace torchdeploy::server
