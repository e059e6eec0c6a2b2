// Which tokens a client must have for what it asks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// RPCs that are allowed or not allowed together.
enum class ApiGroup { kInference, kModelControl, kStatistics };

// By a call's path, "/PACKAGE.SERVICE/METHOD". None: open to everybody, which are the RPCs that
// probes use, and those that list services.
std::optional<ApiGroup> GroupOf(std::string_view path);

using TokensOfGroups = std::map<ApiGroup, std::vector<std::string>>;

// Immutable.
class AccessTokens {
 public:
  // From YAML or JSON: the tokens of each group, `inference: [TOKEN, ...]`, `model_control`,
  // `statistics`. Who has none of a group's tokens may not use it; a group that is left out is
  // closed. kInvalidArgument, naming `place`, for anything else.
  static Result<AccessTokens> Parse(const std::string& text, const std::string& place);

  // `header`: the metadata "authorization", "Bearer TOKEN"; none: there is none.
  // UNAUTHENTICATED: no token, or an unknown one. PERMISSION_DENIED: one of other groups.
  [[nodiscard]] grpc::Status Check(ApiGroup group, std::optional<std::string_view> header) const;

 private:
  explicit AccessTokens(TokensOfGroups tokens) : tokens_(std::move(tokens)) {}

  TokensOfGroups tokens_;
};

// Has gRPC refuse the calls that `tokens` do not allow.
std::shared_ptr<grpc::AuthMetadataProcessor> MakeAuthProcessor(AccessTokens tokens);

}  // namespace torchdeploy::server
