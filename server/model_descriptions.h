// What the server says of a model.
#pragma once

#include <string>
#include <vector>

#include "server/model_registry.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

void DescribeMetadata(const Model& model, const std::vector<std::string>& versions,
                      inference::ModelMetadataResponse* response);

// As Triton has it: where requests are joined, shapes are without the batch's dimension. A tensor
// that may have any datatype is TYPE_INVALID, and one of any shape has no dims.
void DescribeConfig(const Model& model, inference::ModelConfig* config);

void DescribeStatistics(const Model& model, inference::ModelStatistics* statistics);

}  // namespace torchdeploy::server
