#include "server/model_registry.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

bool IsNumber(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view WithoutLeadingZeros(std::string_view number) {
  return number.substr(std::min(number.find_first_not_of('0'), number.size()));
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

bool ModelRegistry::VersionOrder::operator()(const std::string& a, const std::string& b) const {
  const bool a_is_number = IsNumber(a);
  const bool b_is_number = IsNumber(b);
  const std::string_view a_digits = a_is_number ? WithoutLeadingZeros(a) : "";
  const std::string_view b_digits = b_is_number ? WithoutLeadingZeros(b) : "";
  const size_t a_length = a_digits.size();
  const size_t b_length = b_digits.size();
  return std::tie(a_is_number, a_length, a_digits, a) <
         std::tie(b_is_number, b_length, b_digits, b);
}

Status ModelRegistry::Add(Model model) {
  const std::unique_lock lock(mutex_);
  const std::string name = model.name;
  const std::string version = model.version;
  const auto added = std::make_shared<const Model>(std::move(model));
  if (!models_[name].emplace(version, added).second) {
    return {Code::kAlreadyExists, "model '" + name + "' version '" + version + "' is there twice"};
  }
  return {};
}

Result<std::shared_ptr<const Model>> ModelRegistry::Find(const std::string& name,
                                                         const std::string& version) const {
  {
    const std::shared_lock lock(mutex_);
    const auto versions = models_.find(name);
    if (versions != models_.end()) {
      if (version.empty()) {
        return versions->second.rbegin()->second;
      }
      const auto found = versions->second.find(version);
      if (found != versions->second.end()) {
        return found->second;
      }
    }
  }
  const std::vector<std::string> versions = Versions(name);
  if (versions.empty()) {
    return Status(Code::kNotFound,
                  "model '" + name + "' is unknown; this server has: " + JoinNames(Names()));
  }
  return Status(Code::kNotFound, "model '" + name + "' has no version '" + version +
                                     "'; it has: " + JoinNames(versions));
}

std::vector<std::string> ModelRegistry::Versions(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> versions;
  if (const auto found = models_.find(name); found != models_.end()) {
    for (const auto& [version, model] : found->second) {
      versions.push_back(version);
    }
  }
  return versions;
}

std::vector<std::string> ModelRegistry::Names() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, versions] : models_) {
    names.push_back(name);
  }
  return names;
}

}  // namespace torchdeploy::server
