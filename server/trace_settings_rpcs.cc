#include "server/trace_settings_rpcs.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "server/name_list.h"
#include "server/trace_settings.h"
#include "server/tracer.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

// Source: Triton's trace settings.
constexpr const char* kLevel = "trace_level";
constexpr const char* kRate = "trace_rate";
constexpr const char* kCount = "trace_count";
constexpr const char* kOff = "OFF";
constexpr const char* kTimestamps = "TIMESTAMPS";
// What cannot be changed here, and is always this.
constexpr std::array<std::pair<const char*, const char*>, 3> kFixed = {
    {{"trace_mode", "opentelemetry"}, {"trace_file", ""}, {"log_frequency", "0"}}};

using SettingValue = inference::TraceSettingRequest::SettingValue;

Status Refuse(const std::string& name, const std::string& value, const std::string& expected) {
  return {Code::kInvalidArgument,
          "trace setting '" + name + "' is '" + value + "'; " + expected + " is expected"};
}

// Its values as one text.
std::string TextOf(const SettingValue& value) {
  std::string text;
  for (const std::string& item : value.value()) {
    text += (text.empty() ? "" : ",") + item;
  }
  return text;
}

Status ReadLevel(const std::string& text, std::optional<bool>* is_on) {
  if (text != kOff && text != kTimestamps) {
    return Refuse(kLevel, text, "OFF or TIMESTAMPS");
  }
  *is_on = text == kTimestamps;
  return {};
}

Status ReadNumber(const char* name, const std::string& text, int64_t least,
                  std::optional<int64_t>* number) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  int64_t read = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, read);
  if (error != std::errc() || rest != end || read < least || read > kMost) {
    return Refuse(name, text,
                  "a number from " + std::to_string(least) + " to " + std::to_string(kMost));
  }
  *number = read;
  return {};
}

Status CheckFixed(const std::string& name, const SettingValue& value) {
  std::vector<std::string> names = {kLevel, kRate, kCount};
  for (const auto& [fixed, only] : kFixed) {
    if (name == fixed) {
      const bool is_it = value.value().empty() || TextOf(value) == only;
      return is_it ? Status() : Refuse(name, TextOf(value), std::string("'") + only + "'");
    }
    names.emplace_back(fixed);
  }
  return {Code::kInvalidArgument,
          "trace setting '" + name + "' is unknown; there are: " + JoinNames(names)};
}

// A setting without a value is what it was at the start.
Status Read(const std::string& name, const SettingValue& value, TraceSettingsChange* change) {
  const bool is_cleared = value.value().empty();
  if (name == kLevel) {
    change->is_on.emplace();
    return is_cleared ? Status() : ReadLevel(TextOf(value), &*change->is_on);
  }
  if (name == kRate) {
    change->rate.emplace();
    return is_cleared ? Status() : ReadNumber(kRate, TextOf(value), 1, &*change->rate);
  }
  if (name == kCount) {
    change->count.emplace();
    return is_cleared ? Status() : ReadNumber(kCount, TextOf(value), -1, &*change->count);
  }
  return CheckFixed(name, value);
}

void Describe(const TraceSettings& settings, bool can_trace,
              inference::TraceSettingResponse* response) {
  auto& all = *response->mutable_settings();
  all[kLevel].add_value(settings.is_on && can_trace ? kTimestamps : kOff);
  all[kRate].add_value(std::to_string(settings.rate));
  all[kCount].add_value(std::to_string(settings.count));
  for (const auto& [name, only] : kFixed) {
    all[name].add_value(only);
  }
}

}  // namespace

bool ChangesTraces(const inference::TraceSettingRequest& request) {
  return !request.settings().empty();
}

Status ChangeTraces(const inference::TraceSettingRequest& request, Tracer& tracer,
                    inference::TraceSettingResponse* response) {
  TraceSettingsChange change;
  for (const auto& [name, value] : request.settings()) {
    if (Status status = Read(name, value, &change); !status.ok()) {
      return status;
    }
  }
  const bool asks_for_traces = change.is_on && change.is_on->value_or(false);
  if (asks_for_traces && !tracer.can_trace()) {
    return {Code::kFailedPrecondition,
            "there is nowhere to send traces: the server was started without --otlp-endpoint"};
  }
  if (ChangesTraces(request)) {
    tracer.settings().Change(request.model_name(), change);
  }
  Describe(tracer.settings().Get(request.model_name()), tracer.can_trace(), response);
  return {};
}

}  // namespace torchdeploy::server
