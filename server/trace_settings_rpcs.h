// The RPC TraceSetting.
#pragma once

#include "server/tracer.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Whether the request is to change something.
bool ChangesTraces(const inference::TraceSettingRequest& request);

// Changes all that the request says, or nothing; `response` is what is then. kInvalidArgument,
// naming the setting, for one that is unknown, or has another value than it can have here;
// kFailedPrecondition for traces of a server that has nowhere to send them.
Status ChangeTraces(const inference::TraceSettingRequest& request, Tracer& tracer,
                    inference::TraceSettingResponse* response);

}  // namespace torchdeploy::server
