// Where a request is in a distributed trace.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <grpcpp/grpcpp.h>

namespace torchdeploy::server {

// Source: W3C Trace Context, level 1.
struct TraceContext {
  std::array<uint8_t, 16> trace_id = {};
  std::array<uint8_t, 8> span_id = {};
  bool is_sampled = false;  // Whoever began the trace records it.
  std::string state = {};   // `tracestate`, as it came.

  bool operator==(const TraceContext&) const = default;
};

// Nothing for what is no `traceparent`; of versions to come what is known is read.
std::optional<TraceContext> ParseTraceParent(std::string_view text);

// As `traceparent`.
std::string TraceParent(const TraceContext& context);

// That of the client's span; nothing when it sent none, or none that is one.
std::optional<TraceContext> TraceContextOf(const grpc::CallbackServerContext& context);

// A span in the same trace. Nothing when the system gives no random numbers.
std::optional<TraceContext> ChildOf(const TraceContext& parent);

// The first span of a new trace, which is recorded. As ChildOf().
std::optional<TraceContext> NewTrace();

}  // namespace torchdeploy::server
