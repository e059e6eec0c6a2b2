#include "server/request_parameters.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "server/sequences.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

using inference::InferParameter;

// 73 years, which a clock can still add to now. More is none.
constexpr uint64_t kLongestUs = std::numeric_limits<int64_t>::max() / 4000;

// Bytes of a sequence's id; a longer one is refused.
constexpr size_t kLongestSequenceId = 1024;

Result<bool> ReadFlag(const ParameterMap& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) {
    return false;
  }
  if (!found->second.has_bool_param()) {
    return Status(Code::kInvalidArgument, "parameter '" + name + "' is " +
                                              found->second.ShortDebugString() +
                                              "; bool_param is expected");
  }
  return found->second.bool_param();
}

// The id as text, empty for none.
Result<SequenceStep> ReadSequenceId(const ParameterMap& parameters) {
  const auto found = parameters.find("sequence_id");
  if (found != parameters.end() && found->second.has_string_param()) {
    const std::string& id = found->second.string_param();
    if (id.size() > kLongestSequenceId) {
      return Status(Code::kInvalidArgument, "sequence_id has " + std::to_string(id.size()) +
                                                " bytes; " + std::to_string(kLongestSequenceId) +
                                                " are the most");
    }
    return SequenceStep{.id = id, .is_number = false};
  }
  const Result<uint64_t> id = ReadCount(parameters, "sequence_id");
  if (!id.ok()) {
    return id.status();
  }
  return SequenceStep{.id = *id == 0 ? "" : std::to_string(*id)};
}

}  // namespace

Result<std::optional<SequenceStep>> ReadSequence(const inference::ModelInferRequest& request) {
  const ParameterMap& parameters = request.parameters();
  Result<SequenceStep> step = ReadSequenceId(parameters);
  const Result<bool> is_start = ReadFlag(parameters, "sequence_start");
  const Result<bool> is_end = ReadFlag(parameters, "sequence_end");
  if (!step.ok()) {
    return step.status();
  }
  if (!is_start.ok() || !is_end.ok()) {
    return is_start.ok() ? is_end.status() : is_start.status();
  }
  if (step->id.empty()) {
    return std::optional<SequenceStep>();
  }
  step->is_start = *is_start;
  step->is_end = *is_end;
  return std::optional(*std::move(step));
}

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
  const auto method = request.parameters().find(kMethodParameter);
  if (method != request.parameters().end() && !method->second.has_string_param()) {
    return Status(Code::kInvalidArgument, "parameter 'method' is " +
                                              method->second.ShortDebugString() +
                                              "; string_param is expected");
  }
  RequestParameters parameters{.priority = *priority};
  parameters.method = method == request.parameters().end() ? "" : method->second.string_param();
  if (*timeout_us > 0 && *timeout_us < kLongestUs) {
    parameters.timeout = std::chrono::microseconds(*timeout_us);
  }
  return parameters;
}

}  // namespace torchdeploy::server
