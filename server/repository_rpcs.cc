#include "server/repository_rpcs.h"

#include <optional>
#include <string>

#include "server/model_control.h"
#include "server/served_models.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

constexpr const char* kConfig = "config";
constexpr const char* kReady = "READY";
constexpr const char* kUnavailable = "UNAVAILABLE";

Status CheckRepository(const std::string& name) {
  if (name.empty()) {
    return {};
  }
  return {Code::kInvalidArgument,
          "repository_name is '" + name + "'; this server has one repository, without a name"};
}

Result<std::optional<std::string>> ReadConfig(
    const inference::RepositoryModelLoadRequest& request) {
  std::optional<std::string> config;
  for (const auto& [name, parameter] : request.parameters()) {
    if (name != kConfig) {
      return Status(Code::kInvalidArgument,
                    "parameter '" + name +
                        "' is unknown; a model is loaded from the repository, "
                        "and only 'config' may be given");
    }
    if (!parameter.has_string_param()) {
      return Status(Code::kInvalidArgument, "parameter 'config' is no string");
    }
    config = parameter.string_param();
  }
  return config;
}

}  // namespace

Status DescribeRepository(const inference::RepositoryIndexRequest& request,
                          const ModelControl& control,
                          inference::RepositoryIndexResponse* response) {
  if (Status status = CheckRepository(request.repository_name()); !status.ok()) {
    return status;
  }
  for (const ServedModels::State& state : control.States()) {
    if (request.ready() && !state.is_served) {
      continue;
    }
    auto* model = response->add_models();
    model->set_name(state.name);
    model->set_version(state.version);
    model->set_state(state.is_served ? kReady : kUnavailable);
    model->set_reason(state.reason);
  }
  return {};
}

void LoadByRequest(const inference::RepositoryModelLoadRequest& request, ModelControl& control,
                   const ModelControl::Done& done) {
  Status status = CheckRepository(request.repository_name());
  const Result<std::optional<std::string>> config = ReadConfig(request);
  status = status.ok() ? config.status() : status;
  if (!status.ok()) {
    done(status);
    return;
  }
  control.Load(request.model_name(), *config, done);
}

void UnloadByRequest(const inference::RepositoryModelUnloadRequest& request, ModelControl& control,
                     const ModelControl::Done& done) {
  if (Status status = CheckRepository(request.repository_name()); !status.ok()) {
    done(status);
    return;
  }
  control.Unload(request.model_name(), done);
}

}  // namespace torchdeploy::server
