#include "server/request_parameters.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

using inference::InferParameter;

// 73 years, which a clock can still add to now. More is none.
constexpr uint64_t kLongestUs = std::numeric_limits<int64_t>::max() / 4000;

}  // namespace

Result<uint64_t> ReadCount(const ParameterMap& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) {
    return uint64_t{0};
  }
  const InferParameter& parameter = found->second;
  if (parameter.has_uint64_param()) {
    return parameter.uint64_param();
  }
  if (parameter.has_int64_param() && parameter.int64_param() >= 0) {
    return static_cast<uint64_t>(parameter.int64_param());
  }
  return Status(Code::kInvalidArgument,
                "parameter '" + name + "' is " + parameter.ShortDebugString() +
                    "; int64_param or uint64_param, not negative, is expected");
}

Result<RequestParameters> ReadParameters(const inference::ModelInferRequest& request) {
  const Result<uint64_t> priority = ReadCount(request.parameters(), "priority");
  const Result<uint64_t> timeout_us = ReadCount(request.parameters(), "timeout");
  if (!priority.ok() || !timeout_us.ok()) {
    return priority.ok() ? timeout_us.status() : priority.status();
  }
  RequestParameters parameters{.priority = *priority};
  if (*timeout_us > 0 && *timeout_us < kLongestUs) {
    parameters.timeout = std::chrono::microseconds(*timeout_us);
  }
  return parameters;
}

}  // namespace torchdeploy::server
