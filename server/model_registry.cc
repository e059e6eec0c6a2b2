#include "server/model_registry.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <ranges>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "server/name_list.h"
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
  const std::shared_lock lock(mutex_);
  const auto model = models_.find(name);
  if (model == models_.end()) {
    return Status(Code::kNotFound, "model '" + name + "' is unknown; this server has: " +
                                       JoinNames(std::views::keys(models_)));
  }
  const Models& versions = model->second;
  const auto found = version.empty() ? std::prev(versions.end()) : versions.find(version);
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
  const auto versions = std::views::keys(found->second);
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
  for (const auto& [name, versions] : models_) {
    const auto models = std::views::values(versions);
    all.insert(all.end(), models.begin(), models.end());
  }
  return all;
}

}  // namespace torchdeploy::server
