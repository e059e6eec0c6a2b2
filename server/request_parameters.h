// What a request says of its own scheduling.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "server/sequences.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Names the method of the model that is asked for.
inline constexpr const char* kMethodParameter = "method";

struct RequestParameters {
  uint64_t priority = 0;  // "priority": 1 is before 2, and 0 the last.
  // "timeout": from the request's arrival to its answer; 0 is none.
  std::optional<std::chrono::microseconds> timeout = {};
  std::string method = {};  // Empty for the model itself.
};

using ParameterMap = google::protobuf::Map<std::string, inference::InferParameter>;

// The number by that name, 0 when there is none. Clients disagree on the integers' signedness, so
// both are taken. kInvalidArgument for a value that is no such number.
Result<uint64_t> ReadCount(const ParameterMap& parameters, const std::string& name);

// Others are passed over: clients send some of their own. Errors as ReadCount().
Result<RequestParameters> ReadParameters(const inference::ModelInferRequest& request);

// "sequence_id", "sequence_start", "sequence_end"; nothing without an id, or when it is 0 or "".
// kInvalidArgument for values of other kinds, and for an id that is too long.
Result<std::optional<SequenceStep>> ReadSequence(const inference::ModelInferRequest& request);

}  // namespace torchdeploy::server
