#include "server/trace_context.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <grpcpp/grpcpp.h>

#include "server/hex.h"

#include <sys/random.h>
#include <sys/types.h>

namespace torchdeploy::server {

namespace {

constexpr const char* kParentKey = "traceparent";
constexpr const char* kStateKey = "tracestate";
constexpr std::string_view kVersion = "00";
constexpr std::string_view kNoVersion = "ff";
constexpr size_t kLongestState = 512;
constexpr uint8_t kSampledFlag = 1;

// "VERSION-TRACE-SPAN-FLAGS", each in lower-case hexadecimal digits.
constexpr size_t kTraceAt = 3;
constexpr size_t kSpanAt = 36;
constexpr size_t kFlagsAt = 53;
constexpr size_t kLength = 55;

bool IsZero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

bool FillRandomly(std::span<uint8_t> bytes) {
  return getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
}

std::string_view Find(const grpc::CallbackServerContext& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) {
    return {};
  }
  return {found->second.data(), found->second.size()};
}

}  // namespace

std::optional<TraceContext> ParseTraceParent(std::string_view text) {
  const bool has_form = text.size() >= kLength && text[kTraceAt - 1] == '-' &&
                        text[kSpanAt - 1] == '-' && text[kFlagsAt - 1] == '-';
  if (!has_form || text.starts_with(kNoVersion)) {
    return std::nullopt;
  }
  if (text.size() > kLength && (text.starts_with(kVersion) || text[kLength] != '-')) {
    return std::nullopt;
  }
  TraceContext context;
  std::array<uint8_t, 1> version{};
  std::array<uint8_t, 1> flags{};
  const bool is_hex = ReadHex(text, version) && ReadHex(text.substr(kTraceAt), context.trace_id) &&
                      ReadHex(text.substr(kSpanAt), context.span_id) &&
                      ReadHex(text.substr(kFlagsAt), flags);
  if (!is_hex || IsZero(context.trace_id) || IsZero(context.span_id)) {
    return std::nullopt;
  }
  context.is_sampled = (flags.front() & kSampledFlag) != 0;
  return context;
}

std::string TraceParent(const TraceContext& context) {
  return std::string(kVersion) + "-" + ToHex(context.trace_id) + "-" + ToHex(context.span_id) +
         (context.is_sampled ? "-01" : "-00");
}

std::optional<TraceContext> TraceContextOf(const grpc::CallbackServerContext& context) {
  std::optional<TraceContext> caller = ParseTraceParent(Find(context, kParentKey));
  if (caller) {
    // A longer one may be dropped, and is not to be cut.
    const std::string_view state = Find(context, kStateKey);
    caller->state = state.size() <= kLongestState ? state : "";
  }
  return caller;
}

std::optional<TraceContext> ChildOf(const TraceContext& parent) {
  TraceContext child = parent;
  return FillRandomly(child.span_id) ? std::optional(child) : std::nullopt;
}

std::optional<TraceContext> NewTrace() {
  TraceContext trace{.is_sampled = true};
  return FillRandomly(trace.trace_id) && FillRandomly(trace.span_id) ? std::optional(trace)
                                                                     : std::nullopt;
}

}  // namespace torchdeploy::server
