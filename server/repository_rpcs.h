// The RPCs on the model repository, which are Triton's.
#pragma once

#include "server/model_control.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// All: kInvalidArgument for a repository by name, since there is one without.

Status DescribeRepository(const inference::RepositoryIndexRequest& request,
                          const ModelControl& control,
                          inference::RepositoryIndexResponse* response);

// Parameter "config": the model's settings in JSON or YAML, in place of its config.yaml.
// kInvalidArgument for other parameters; else as ModelControl::Load().
void LoadByRequest(const inference::RepositoryModelLoadRequest& request, ModelControl& control,
                   const ModelControl::Done& done);

// Parameters are passed over: no model depends on another.
void UnloadByRequest(const inference::RepositoryModelUnloadRequest& request, ModelControl& control,
                     const ModelControl::Done& done);

}  // namespace torchdeploy::server
