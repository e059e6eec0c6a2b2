#include "server/access_tokens.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "server/nearest_name.h"
#include "torchdeploy/status.h"

#include <yaml-cpp/yaml.h>

namespace torchdeploy::server {

namespace {

using GroupNames = std::array<std::pair<std::string_view, ApiGroup>, 3>;
constexpr GroupNames kGroups = {{{"inference", ApiGroup::kInference},
                                 {"model_control", ApiGroup::kModelControl},
                                 {"statistics", ApiGroup::kStatistics}}};

constexpr std::string_view kService = "/inference.GRPCInferenceService/";
constexpr std::array<std::string_view, 4> kOpen = {"ServerLive", "ServerReady", "ServerMetadata",
                                                   "ModelReady"};

constexpr std::string_view kScheme = "Bearer ";
constexpr size_t kShortestToken = 16;

std::string_view NameOf(ApiGroup group) {
  return std::find_if(kGroups.begin(), kGroups.end(),
                      [&](const auto& named) { return named.second == group; })
      ->first;
}

Result<ApiGroup> GroupNamed(const std::string& name) {
  const auto* const found = std::find_if(kGroups.begin(), kGroups.end(),
                                         [&](const auto& named) { return named.first == name; });
  if (found != kGroups.end()) {
    return found->second;
  }
  std::vector<std::string_view> names;
  for (const auto& named : kGroups) {
    names.push_back(named.first);
  }
  return Status(Code::kInvalidArgument, "unknown key '" + name + "'; did you mean '" +
                                            std::string(NearestName(name, names)) + "'?");
}

Result<std::vector<std::string>> TokensOf(const std::string& name, const YAML::Node& node) {
  std::vector<std::string> tokens;
  if (!node.IsSequence()) {
    return Status(Code::kInvalidArgument, name + ": a list of tokens is expected");
  }
  for (const YAML::Node& item : node) {
    const auto token = item.IsScalar() ? item.Scalar() : std::string();
    const bool is_printable = std::all_of(
        token.begin(), token.end(), [](char letter) { return letter > ' ' && letter <= '~'; });
    if (token.size() < kShortestToken || !is_printable) {
      // Without the token: whoever reads a log shall not have it.
      return Status(Code::kInvalidArgument, name + ": token " + std::to_string(tokens.size() + 1) +
                                                " is not text of at least " +
                                                std::to_string(kShortestToken) +
                                                " printable ASCII letters without spaces");
    }
    tokens.push_back(token);
  }
  return tokens;
}

Result<TokensOfGroups> ReadGroups(const YAML::Node& root) {
  TokensOfGroups all;
  if (!root.IsMap()) {
    return Status(Code::kInvalidArgument, "groups with their tokens are expected");
  }
  for (const auto& entry : root) {
    const auto name = entry.first.as<std::string>();
    const Result<ApiGroup> group = GroupNamed(name);
    Result<std::vector<std::string>> tokens = TokensOf(name, entry.second);
    if (!group.ok() || !tokens.ok()) {
      return group.ok() ? tokens.status() : group.status();
    }
    all[*group] = *std::move(tokens);
  }
  return all;
}

// Takes as long for every text of a token's length.
bool AreEqual(std::string_view token, std::string_view given) {
  if (token.size() != given.size()) {
    return false;
  }
  unsigned difference = 0;
  for (size_t i = 0; i < token.size(); ++i) {
    difference |= static_cast<unsigned char>(token[i]) ^ static_cast<unsigned char>(given[i]);
  }
  return difference == 0;
}

bool Holds(const std::vector<std::string>& tokens, std::string_view given) {
  bool is_there = false;
  for (const std::string& token : tokens) {
    is_there = AreEqual(token, given) || is_there;
  }
  return is_there;
}

class AuthProcessor final : public grpc::AuthMetadataProcessor {
 public:
  explicit AuthProcessor(AccessTokens tokens) : tokens_(std::move(tokens)) {}

  [[nodiscard]] bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* /*context*/,
                       OutputMetadata* /*consumed*/, OutputMetadata* /*response*/) override {
    const auto path = Find(metadata, ":path");
    const std::optional<ApiGroup> group = GroupOf(path.value_or(""));
    return group ? tokens_.Check(*group, Find(metadata, "authorization")) : grpc::Status();
  }

 private:
  static std::optional<std::string_view> Find(const InputMetadata& metadata, const char* key) {
    const auto found = metadata.find(key);
    if (found == metadata.end()) {
      return std::nullopt;
    }
    return std::string_view(found->second.data(), found->second.size());
  }

  const AccessTokens tokens_;
};

}  // namespace

std::optional<ApiGroup> GroupOf(std::string_view path) {
  if (!path.starts_with(kService)) {
    return std::nullopt;
  }
  const std::string_view method = path.substr(kService.size());
  if (std::find(kOpen.begin(), kOpen.end(), method) != kOpen.end()) {
    return std::nullopt;
  }
  if (method == "ModelStatistics") {
    return ApiGroup::kStatistics;
  }
  const bool is_control =
      method.starts_with("Repository") || method == "TraceSetting" || method == "LogSettings";
  return is_control ? ApiGroup::kModelControl : ApiGroup::kInference;
}

Result<AccessTokens> AccessTokens::Parse(const std::string& text, const std::string& place) {
  try {
    Result<TokensOfGroups> tokens = ReadGroups(YAML::Load(text));
    if (!tokens.ok()) {
      return Status(tokens.status().code(), place + ": " + tokens.status().message());
    }
    return AccessTokens(*std::move(tokens));
  } catch (const YAML::Exception& error) {
    return Status(Code::kInvalidArgument, place + ": " + error.what());
  }
}

grpc::Status AccessTokens::Check(ApiGroup group, std::optional<std::string_view> header) const {
  if (!header || !header->starts_with(kScheme)) {
    return {grpc::StatusCode::UNAUTHENTICATED,
            "this server asks for a token: metadata 'authorization: Bearer TOKEN'"};
  }
  const std::string_view given = header->substr(kScheme.size());
  if (const auto found = tokens_.find(group);
      found != tokens_.end() && Holds(found->second, given)) {
    return {};
  }
  const bool is_known = std::any_of(tokens_.begin(), tokens_.end(), [&](const auto& tokens) {
    return Holds(tokens.second, given);
  });
  return is_known ? grpc::Status(grpc::StatusCode::PERMISSION_DENIED,
                                 "the token is none of those for " + std::string(NameOf(group)))
                  : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the token is unknown");
}

std::shared_ptr<grpc::AuthMetadataProcessor> MakeAuthProcessor(AccessTokens tokens) {
  return std::make_shared<AuthProcessor>(std::move(tokens));
}

}  // namespace torchdeploy::server
