#include "server/log_settings_rpcs.h"

#include <string>

#include "server/log.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

// Source: Triton's log settings of these names.
constexpr const char* kEvents = "log_info";
constexpr const char* kFailures = "log_error";

Status Check(const std::string& name, const inference::LogSettingsRequest::SettingValue& value) {
  if (name != kEvents && name != kFailures) {
    return {Code::kInvalidArgument, "log setting '" + name + "' is unknown; there are: '" +
                                        kEvents + "', '" + kFailures + "'"};
  }
  if (!value.has_bool_param()) {
    return {Code::kInvalidArgument, "log setting '" + name + "' is no bool"};
  }
  return {};
}

}  // namespace

Status ChangeLog(const inference::LogSettingsRequest& request, const Log& log,
                 inference::LogSettingsResponse* response) {
  for (const auto& [name, value] : request.settings()) {
    if (Status status = Check(name, value); !status.ok()) {
      return status;
    }
  }
  LogSwitches& switches = log.switches();
  for (const auto& [name, value] : request.settings()) {
    (name == kEvents ? switches.events : switches.failures) = value.bool_param();
  }
  (*response->mutable_settings())[kEvents].set_bool_param(switches.events);
  (*response->mutable_settings())[kFailures].set_bool_param(switches.failures);
  return {};
}

}  // namespace torchdeploy::server
