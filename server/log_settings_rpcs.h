// The RPC LogSettings.
#pragma once

#include "server/log.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Changes all that the request says, or nothing; `response` is what is then. kInvalidArgument,
// naming the setting, for one that is unknown, or is no bool.
Status ChangeLog(const inference::LogSettingsRequest& request, const Log& log,
                 inference::LogSettingsResponse* response);

}  // namespace torchdeploy::server
